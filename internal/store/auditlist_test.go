package store_test

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestEachFilterOfTheAuditHasItsIndex(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		store.CheckAuditPlans(t, storetest.Open(t, databaseURL))
	})
}

func TestAnEventIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		id := directory.NewUserID()
		whole := audit.Event{
			At:       moment,
			Origin:   audit.Origin{Actor: "admin:bot", Address: "2001:db8::1", RequestID: "request-1", SessionID: string(directory.NewUserID())},
			Action:   "user.changed",
			Outcome:  audit.Failed,
			Reason:   "email_taken",
			UserID:   id,
			SignupID: string(directory.NewUserID()),
			Target:   audit.Target{Kind: "webhook", ID: "whk_1"},
			From:     directory.Active,
			To:       directory.Suspended,
			Class:    "rejected",
			Before:   audit.Values{"display_name": "Änna \"A\"", "nothing": nil},
			After:    audit.Values{"display_name": "", "list": []any{"a", float64(2)}},
		}
		if err := s.WriteEvents(t.Context(), []audit.Event{whole, {Action: "login.refused"}}); err != nil {
			t.Fatal(err)
		}
		found := page(t, s, audit.Query{Limit: 10})
		if len(found) != 2 {
			t.Fatalf("found %+v", found)
		}
		least, most := found[0], found[1] // of which the first is of today
		if least.ID == "" || time.Since(least.At) > time.Minute || least.Origin != (audit.Origin{Actor: audit.Portico}) || least.Outcome != audit.Success {
			t.Errorf("the least that an event can say is read as %+v", least)
		}
		whole.ID = most.ID
		if !reflect.DeepEqual(most, whole) {
			t.Errorf("read\n%+v, not\n%+v", most, whole)
		}
	})
}

func TestTheAuditIsReadPageByPageNewestFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		var events []audit.Event
		for i := range 25 {
			// Ten share each second.
			events = append(events, audit.Event{At: moment.Add(time.Duration(i/10) * time.Second), Action: "a.b"})
		}
		if err := s.WriteEvents(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		var read []audit.Event
		var cursor audit.Cursor
		for {
			part := page(t, s, audit.Query{Limit: 4, Cursor: cursor})
			read = append(read, part...)
			if len(part) < 4 {
				break
			}
			cursor = part[len(part)-1].Cursor()
			// What is written meanwhile is on no later page.
			if err := s.WriteEvents(t.Context(), []audit.Event{{At: moment.Add(time.Hour), Action: "late.comer"}}); err != nil {
				t.Fatal(err)
			}
		}
		if len(read) != 25 {
			t.Errorf("read %d events", len(read))
		}
		if !slices.IsSortedFunc(read, func(a, b audit.Event) int {
			return -cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID))
		}) {
			t.Errorf("in the order %v", read)
		}
	})
}

func TestFiltersOfTheAuditNarrowIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		anna := directory.NewUserID()
		at := func(hour int) time.Time { return moment.Add(time.Duration(hour) * time.Hour) }
		by := func(actor string) audit.Origin { return audit.Origin{Actor: actor} }
		err := s.WriteEvents(t.Context(), []audit.Event{
			{At: at(0), Action: "user.received", UserID: anna},
			{At: at(1), Action: "user.suspended", UserID: anna, Origin: by("admin:bot")},
			{At: at(2), Action: "users.counted", Origin: by("admin:bot2")},
			{At: at(3), Action: "login.refused", Outcome: audit.Refused, UserID: anna, Origin: by(audit.Anyone)},
			{At: at(4), Action: "login.failed", Outcome: audit.Failed, Origin: by(audit.Anyone)},
			{At: at(5), Action: "login.succeeded", UserID: anna, Origin: by(audit.User(anna))},
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			query audit.Query
			want  string
		}{
			"nothing":              {audit.Query{}, "login.succeeded login.failed login.refused users.counted user.suspended user.received"},
			"a user":               {audit.Query{UserID: anna}, "login.succeeded login.refused user.suspended user.received"},
			"nobody":               {audit.Query{UserID: directory.NewUserID()}, ""},
			"an actor":             {audit.Query{Actor: "admin:bot"}, "user.suspended"},
			"the program":          {audit.Query{Actor: audit.Portico}, "user.received"},
			"anyone":               {audit.Query{Actor: audit.Anyone}, "login.failed login.refused"},
			"an action":            {audit.Query{ActionPrefix: "user.suspended"}, "user.suspended"},
			"half a word":          {audit.Query{ActionPrefix: "user.susp"}, ""},
			"a first word":         {audit.Query{ActionPrefix: "user"}, "user.suspended user.received"},
			"a first word's dot":   {audit.Query{ActionPrefix: "users."}, "users.counted"},
			"what was refused":     {audit.Query{Outcome: audit.Refused}, "login.refused"},
			"what went well":       {audit.Query{Outcome: audit.Success}, "login.succeeded users.counted user.suspended user.received"},
			"from a time on":       {audit.Query{After: at(4)}, "login.succeeded login.failed"},
			"before a time":        {audit.Query{Before: at(1)}, "user.received"},
			"between two":          {audit.Query{After: at(1), Before: at(3)}, "users.counted user.suspended"},
			"several at once":      {audit.Query{UserID: anna, ActionPrefix: "login", Outcome: audit.Refused}, "login.refused"},
			"what contradicts":     {audit.Query{UserID: anna, Actor: "admin:bot2"}, ""},
			"an actor with quotes": {audit.Query{Actor: "admin:' OR ''='"}, ""},
		} {
			test.query.Limit = 50
			var got []string
			for _, e := range page(t, s, test.query) {
				got = append(got, e.Action)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%s: %q, not %q", name, got, test.want)
			}
		}
	})
}

func TestWhatIsNoFilterIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		for name, query := range map[string]audit.Query{
			"no limit":               {},
			"less than none":         {Limit: -1},
			"more than a page has":   {Limit: audit.MaxPage + 1},
			"a user that is none":    {Limit: 1, UserID: "anna"},
			"a user in capitals":     {Limit: 1, UserID: "01890A5D-AC96-774B-BCCE-000000000007"},
			"a pattern":              {Limit: 1, ActionPrefix: "user%"},
			"capitals":               {Limit: 1, ActionPrefix: "User"},
			"a long action":          {Limit: 1, ActionPrefix: strings.Repeat("a", 65)},
			"an unknown outcome":     {Limit: 1, Outcome: "good"},
			"an actor of nothing":    {Limit: 1, Actor: "\x00"},
			"an actor of no text":    {Limit: 1, Actor: "\xff"},
			"times the wrong way":    {Limit: 1, After: moment, Before: moment},
			"a cursor without an id": {Limit: 1, Cursor: audit.Cursor{At: moment}},
			"a cursor with no id":    {Limit: 1, Cursor: audit.Cursor{At: moment, ID: "x"}},
			"a cursor without times": {Limit: 1, Cursor: audit.Cursor{ID: string(directory.NewUserID())}},
		} {
			if found, err := s.AuditEvents(t.Context(), query); !errors.Is(err, audit.ErrQuery) || found != nil {
				t.Errorf("%s: %v, %v", name, found, err)
			}
		}
	})
}

func page(t *testing.T, s *store.Store, query audit.Query) []audit.Event {
	t.Helper()
	found, err := s.AuditEvents(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
