package invitation_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var moment = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// terms are terms that are fine.
var terms = invitation.Terms{Uses: 3, Life: 48 * time.Hour, Email: "Ada@Example.com", Note: "for Ada – and no one else"}

func newService(t *testing.T, databaseURL string) *invitation.Service {
	t.Helper()
	return &invitation.Service{
		Store: store.New(storetest.Open(t, databaseURL), nil),
		Now:   func() time.Time { return moment },
	}
}

func TestAnInvitationIsListedAsItWasCreated(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		service := newService(t, databaseURL)
		created, err := service.Create(t.Context(), terms)
		if err != nil {
			t.Fatal(err)
		}
		at := moment.Truncate(time.Microsecond)
		want := invitation.Invitation{
			ID: created.Invitation.ID, Hash: created.Code.Hash(), Email: "ada@example.com", Note: terms.Note,
			Uses: 3, UsesLeft: 3, CreatedAt: at, ExpiresAt: at.Add(terms.Life),
		}
		if created.Invitation != want {
			t.Errorf("created %+v, not %+v", created.Invitation, want)
		}
		listed, err := service.List(t.Context(), "", 0)
		if err != nil || len(listed) != 1 || listed[0] != want {
			t.Errorf("listed %+v, not %+v: %v", listed, want, err)
		}
	})
}

func TestInvitationsAreListedNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		service := newService(t, databaseURL)
		var want []invitation.ID
		for range 7 {
			created, err := service.Create(t.Context(), invitation.Terms{Uses: 1, Life: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			want = append([]invitation.ID{created.Invitation.ID}, want...)
		}
		var got []invitation.ID
		var before invitation.ID
		for {
			page, err := service.List(t.Context(), before, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, i := range page {
				got = append(got, i.ID)
			}
			before = page[len(page)-1].ID
		}
		if len(got) != len(want) {
			t.Fatalf("listed %v, not %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("listed %v, not %v", got, want)
			}
		}
	})
}

func TestARevokedInvitationKeepsTheTimeOfItsRevocation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		service := newService(t, databaseURL)
		var ids []invitation.ID
		for range 2 {
			created, err := service.Create(t.Context(), terms)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, created.Invitation.ID)
		}
		first := moment
		for _, later := range []time.Duration{0, time.Hour} {
			service.Now = func() time.Time { return first.Add(later) }
			if err := service.Revoke(t.Context(), ids[0]); err != nil {
				t.Fatal(err)
			}
		}
		listed, err := service.List(t.Context(), "", 0)
		if err != nil || len(listed) != 2 {
			t.Fatal(listed, err)
		}
		if !listed[1].RevokedAt.Equal(first.Truncate(time.Microsecond)) || listed[1].State(moment) != invitation.Revoked {
			t.Errorf("it is revoked since %s", listed[1].RevokedAt)
		}
		if !listed[0].RevokedAt.IsZero() || listed[0].State(moment) != invitation.Open {
			t.Error("the other one is revoked as well")
		}
		unknown := invitation.ID(directory.NewUserID())
		if err := service.Revoke(t.Context(), unknown); !errors.Is(err, invitation.ErrNotFound) {
			t.Errorf("one that does not exist: got %v", err)
		}
	})
}

func TestAnInvitationOnBadTermsIsNotCreated(t *testing.T) {
	t.Parallel()
	service := newService(t, storetest.SQLite(t))
	for name, c := range map[string]struct {
		change func(*invitation.Terms)
		want   error
	}{
		"no uses":                     {func(t *invitation.Terms) { t.Uses = 0 }, invitation.ErrTerms},
		"fewer uses than none":        {func(t *invitation.Terms) { t.Uses = -1 }, invitation.ErrTerms},
		"too many uses":               {func(t *invitation.Terms) { t.Uses = invitation.MaxUses + 1 }, invitation.ErrTerms},
		"no life":                     {func(t *invitation.Terms) { t.Life = 0 }, invitation.ErrTerms},
		"a life that is over":         {func(t *invitation.Terms) { t.Life = -time.Hour }, invitation.ErrTerms},
		"a life without end":          {func(t *invitation.Terms) { t.Life = invitation.MaxLife + 1 }, invitation.ErrTerms},
		"a note too long":             {func(t *invitation.Terms) { t.Note = strings.Repeat("ä", invitation.MaxNote+1) }, invitation.ErrTerms},
		"a note of two lines":         {func(t *invitation.Terms) { t.Note = "one\ntwo" }, invitation.ErrTerms},
		"a note with escape codes":    {func(t *invitation.Terms) { t.Note = "\x1b[2J" }, invitation.ErrTerms},
		"a note that turns around":    {func(t *invitation.Terms) { t.Note = "\u202eevil" }, invitation.ErrTerms},
		"a note with a NUL":           {func(t *invitation.Terms) { t.Note = "a\x00b" }, invitation.ErrTerms},
		"a note that is no text":      {func(t *invitation.Terms) { t.Note = "\xff" }, invitation.ErrTerms},
		"an address that is not one":  {func(t *invitation.Terms) { t.Email = "ada" }, directory.ErrEmail},
		"an address that shows wrong": {func(t *invitation.Terms) { t.Email = "a\u200bda@example.com" }, directory.ErrEmail},
	} {
		bad := terms
		c.change(&bad)
		if created, err := service.Create(t.Context(), bad); !errors.Is(err, c.want) || created.Invitation.ID != "" {
			t.Errorf("%s: got %+v, %v", name, created, err)
		}
	}
	listed, err := service.List(t.Context(), "", 0)
	if err != nil || len(listed) != 0 {
		t.Errorf("some were stored: %v, %v", listed, err)
	}
	for name, fine := range map[string]invitation.Terms{
		"the least": {Uses: 1, Life: time.Second},
		"the most":  {Uses: invitation.MaxUses, Life: invitation.MaxLife, Note: strings.Repeat("ä", invitation.MaxNote)},
	} {
		if _, err := service.Create(t.Context(), fine); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheStateSaysWhyACodeLetsNobodyIn(t *testing.T) {
	t.Parallel()
	open := invitation.Invitation{UsesLeft: 1, ExpiresAt: moment.Add(time.Nanosecond)}
	used, over, revoked, all := open, open, open, open
	used.UsesLeft = 0
	over.ExpiresAt = moment
	revoked.RevokedAt = moment
	all.UsesLeft, all.ExpiresAt, all.RevokedAt = 0, moment, moment
	for want, of := range map[invitation.State][]invitation.Invitation{
		invitation.Open: {open}, invitation.UsedUp: {used}, invitation.Expired: {over}, invitation.Revoked: {revoked, all},
	} {
		for _, i := range of {
			if got := i.State(moment); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

func TestAnIDIsReadOnlyInTheFormThatItIsShownIn(t *testing.T) {
	t.Parallel()
	id := string(directory.NewUserID())
	for _, text := range []string{id, strings.ToUpper(id)} {
		if read, err := invitation.ParseID(text); err != nil || string(read) != id {
			t.Errorf("%q: got %q, %v", text, read, err)
		}
	}
	for _, text := range []string{
		"", "1", "newest", strings.ReplaceAll(id, "-", ""), "{" + id + "}", "urn:uuid:" + id, id + " ", id[:35], "' OR 1=1 --",
	} {
		if _, err := invitation.ParseID(text); !errors.Is(err, invitation.ErrNotFound) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestWithoutADatabaseNothingIsCreatedListedOrRevoked(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	service := &invitation.Service{Store: store.New(db, nil), Now: time.Now}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, created := service.Create(t.Context(), terms)
	_, listed := service.List(t.Context(), "", 0)
	revoked := service.Revoke(t.Context(), invitation.ID(directory.NewUserID()))
	for what, err := range map[string]error{"create": created, "list": listed, "revoke": revoked} {
		if !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
