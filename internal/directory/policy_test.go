package directory_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/directory"
)

func policy(t testing.TB, settings directory.PolicySettings) *directory.Policy {
	t.Helper()
	p, err := directory.ParsePolicy(settings)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func disposable(t testing.TB, lines ...string) *directory.DisposableDomains {
	t.Helper()
	domains, err := directory.ParseDisposableDomains(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return domains
}

func TestAPolicyAdmitsAndRefuses(t *testing.T) {
	t.Parallel()
	type settings = directory.PolicySettings
	block := func(patterns ...string) settings { return settings{Block: patterns} }
	allowBut := func(allow, block string) settings { return settings{Allow: []string{allow}, Block: []string{block}} }
	trash, within := disposable(t, "trash.example"), directory.EmbeddedDisposableDomains()
	const refuse, fold = directory.PlusRefuse, directory.PlusFold
	no, blocked, thrownAway, tagged := directory.ErrEmail, directory.ErrEmailBlocked, directory.ErrEmailDisposable, directory.ErrPlusAddress
	for name, test := range map[string]struct {
		settings settings
		typed    string
		want     error
	}{
		"nothing is set":             {settings{}, "anna@example.com", nil},
		"nothing is set, no address": {settings{}, "anna", no},

		"an address":                               {block("anna@example.com"), "anna@example.com", blocked},
		"an address, and it is another":            {block("anna@example.com"), "anna@example.org", nil},
		"an address in capitals":                   {block("ANNA@Example.com"), "anna@example.com", blocked},
		"an address, typed in fullwidth":           {block("anna@example.com"), "ａｎｎａ@example．com", blocked},
		"an address with a tag that is not listed": {block("anna@example.com"), "anna+x@example.com", nil},

		"a domain":                              {block("example.com"), "anna@example.com", blocked},
		"a domain, and it is one beneath":       {block("example.com"), "anna@mail.example.com", nil},
		"a domain, and it is one that ends so":  {block("example.com"), "anna@myexample.com", nil},
		"a domain as a U-label":                 {block("bücher.example"), "anna@xn--bcher-kva.example", blocked},
		"a domain as an A-label":                {block("XN--bcher-kva.example"), "anna@BÜCHER.example", blocked},
		"a domain with a wildcard before the @": {block("*@example.com"), "anna@example.com", blocked},

		"all beneath a domain":                               {block("*.example.com"), "anna@mail.example.com", blocked},
		"all beneath a domain, two below":                    {block("*.example.com"), "anna@a.b.example.com", blocked},
		"all beneath a domain, and it is itself":             {block("*.example.com"), "anna@example.com", nil},
		"all beneath a domain, and it is one that ends so":   {block("*.example.com"), "anna@my-example.com", nil},
		"all beneath a top-level domain":                     {block("*.example"), "anna@example.example", blocked},
		"all beneath a top-level domain in its own letters":  {block("*.рф"), "anna@xn--e1afmkfd.xn--p1ai", blocked},
		"all beneath a domain, with a wildcard before the @": {block("*@*.example.com"), "anna@mail.example.com", blocked},

		"a local part everywhere":                             {block("admin@*"), "Admin@example.org", blocked},
		"a local part everywhere, and it is longer":           {block("admin@*"), "administrator@example.org", nil},
		"the beginning of a local part":                       {block("admin*@*"), "administrator@example.org", blocked},
		"the end of a local part":                             {block("*-bot@example.com"), "my-bot@example.com", blocked},
		"the middle of a local part":                          {block("*spam*@*"), "i.am.spamming@example.com", blocked},
		"both ends, which may not overlap":                    {block("ab*ba@*"), "aba@example.com", nil},
		"both ends with nothing between":                      {block("ab*ba@*"), "abba@example.com", blocked},
		"three pieces in their order":                         {block("a*b*c@*"), "aXbYc@example.com", blocked},
		"three pieces out of order":                           {block("a*b*c@*"), "aYcb@example.com", nil},
		"a local part beneath a domain":                       {block("admin@*.example.com"), "admin@a.example.com", blocked},
		"a local part beneath a domain, and it is itself":     {block("admin@*.example.com"), "admin@example.com", nil},
		"a local part beneath a domain, another ends so":      {block("admin@*.example.com"), "admin@my-example.com", nil},
		"tags of one mailbox":                                 {block("anna+*@example.com"), "anna+1@example.com", blocked},
		"a local part in another script and case":             {block("АДМИН*@*"), "админ1ж@example.com", blocked},
		"a local part that is written from right to left":     {block("דנה*@*"), "דנהא@example.com", blocked},
		"a piece of a local part that alone looks like ASCII": {block("сар*@*"), "сардж@example.com", blocked},

		"everything":                         {block("*"), "anna@example.com", blocked},
		"everything, with an @":              {block("*@*"), "anna@example.com", blocked},
		"everything, and it is no address":   {block("*"), "anna", no},
		"the last of several patterns":       {block("a.example", "b.example", "*.c.example"), "anna@x.c.example", blocked},
		"none of several patterns":           {block("a.example", "b.example", "*.c.example", "admin@*"), "anna@d.example", nil},
		"a domain that a list allows":        {allowBut("example.com", "example.com"), "a@example.com", nil},
		"a domain, but one address allowed":  {allowBut("a@example.com", "example.com"), "a@example.com", nil},
		"a domain, and another is allowed":   {allowBut("a@example.com", "example.com"), "b@example.com", blocked},
		"all but those on the list, on it":   {allowBut("*@corp.example", "*"), "a@CORP.example", nil},
		"all but those on the list, not":     {allowBut("*@corp.example", "*"), "a@corp2.example", blocked},
		"all but those on the list, beneath": {allowBut("*@corp.example", "*"), "a@x.corp.example", blocked},

		"disposable":                     {settings{Disposable: trash}, "a@trash.example", thrownAway},
		"beneath a disposable one":       {settings{Disposable: trash}, "a@x.y.trash.example", thrownAway},
		"ends as a disposable one":       {settings{Disposable: trash}, "a@not-trash.example", nil},
		"above a disposable one":         {settings{Disposable: disposable(t, "x.trash.example")}, "a@trash.example", nil},
		"disposable, and allowed":        {settings{Allow: []string{"trash.example"}, Disposable: trash}, "a@trash.example", nil},
		"disposable, and blocked":        {settings{Block: []string{"trash.example"}, Disposable: trash}, "a@trash.example", blocked},
		"disposable, by the list within": {settings{Disposable: within}, "a@Mailinator.com", thrownAway},
		"not disposable":                 {settings{Disposable: within}, "a@gmail.com", nil},

		"a tag where none is admitted":              {settings{Plus: refuse}, "a+b@example.com", tagged},
		"a tag in fullwidth where none is admitted": {settings{Plus: refuse}, "a＋b@example.com", tagged},
		"a tag, whatever is allowed":                {settings{Plus: refuse, Allow: []string{"*"}}, "a+b@example.com", tagged},
		"no tag where none is admitted":             {settings{Plus: refuse}, "ab@example.com", nil},
		"a tag is folded, and its mailbox blocked":  {settings{Plus: fold, Block: []string{"a@example.com"}}, "a+b@example.com", blocked},
		"a pattern with a tag blocks the mailbox":   {settings{Plus: fold, Block: []string{"a+b@example.com"}}, "a@example.com", blocked},
		"a tag with nothing before it":              {settings{Plus: fold}, "+b@example.com", tagged},
		"a tag with a dot before it":                {settings{Plus: fold}, "a.+b@example.com", tagged},
		"a tag that told a word from ASCII":         {settings{Plus: fold}, "сара+ж@example.com", tagged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			email, err := policy(t, test.settings).Parse(test.typed)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %q, %v; want %v", email.Canonical(), err, test.want)
			}
			if err != nil {
				if email != (directory.Email{}) {
					t.Errorf("an error came with the address %q", email)
				}
				if strings.Contains(err.Error(), "example") {
					t.Errorf("%q repeats the address", err)
				}
				return
			}
			if email.String() != test.typed {
				t.Errorf("typed form is %q", email)
			}
		})
	}
}

func TestTagsAreKeptOrFoldedInTheCanonicalFormOnly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode             directory.PlusMode
		typed, canonical string
	}{
		"tags are kept unless set otherwise":      {"", "Anna+A@example.com", "anna+a@example.com"},
		"tags are kept":                           {directory.PlusAllow, "Anna+A@example.com", "anna+a@example.com"},
		"tags are folded":                         {directory.PlusFold, "Anna+A@example.com", "anna@example.com"},
		"two tags are folded":                     {directory.PlusFold, "anna+a+b@example.com", "anna@example.com"},
		"an empty tag is folded":                  {directory.PlusFold, "anna+@example.com", "anna@example.com"},
		"a plus in fullwidth is folded":           {directory.PlusFold, "anna＋a@example.com", "anna@example.com"},
		"what has no tag stays":                   {directory.PlusFold, "anna.b@example.com", "anna.b@example.com"},
		"tags are folded in every script":         {directory.PlusFold, "иван+тег@пример.рф", "иван@xn--e1afmkfd.xn--p1ai"},
		"a tag with what a local part may not be": {directory.PlusFold, "anna+a.b@example.com", "anna@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			email, err := policy(t, directory.PolicySettings{Plus: test.mode}).Parse(test.typed)
			if err != nil {
				t.Fatal(err)
			}
			if email.Canonical() != test.canonical || email.String() != test.typed {
				t.Errorf("got %q and %q, want %q and %q", email, email.Canonical(), test.typed, test.canonical)
			}
		})
	}
}

func TestNoPolicyAdmitsEveryAddress(t *testing.T) {
	t.Parallel()
	var none *directory.Policy
	email, err := none.Parse("Anna+x@Mailinator.com")
	if err != nil || email.Canonical() != "anna+x@mailinator.com" {
		t.Errorf("got %q, %v", email.Canonical(), err)
	}
	if _, err := none.Parse("anna"); !errors.Is(err, directory.ErrEmail) {
		t.Errorf("got %v", err)
	}
}

func TestAPatternThatMakesNoSenseIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pattern string
		mode    directory.PlusMode
	}{
		"nothing":                                   {"", ""},
		"a space":                                   {" ", ""},
		"a top-level domain itself":                 {"com", ""},
		"a wildcard within a label":                 {"exa*ple.com", ""},
		"a wildcard without its dot":                {"*example.com", ""},
		"a wildcard at the end":                     {"example.*", ""},
		"two wildcards":                             {"*.*", ""},
		"a domain with an underscore":               {"ex_ample.com", ""},
		"a domain with a port":                      {"example.com:25", ""},
		"a domain with a space after":               {"example.com ", ""},
		"a domain that poses as another":            {"раураӏ.com", ""},
		"a domain of mixed scripts":                 {"*.pаypal.com", ""},
		"an address literal":                        {"*@[192.0.2.1]", ""},
		"an IPv4 address":                           {"192.0.2.1", ""},
		"nothing before the @":                      {"@example.com", ""},
		"nothing before the @ but a wildcard after": {"@*", ""},
		"nothing after the @":                       {"admin@", ""},
		"two at signs":                              {"a@b@example.com", ""},
		"two at signs and a wildcard":               {"*@b@example.com", ""},
		"an address that poses as another":          {"раураӏ@example.com", ""},
		"a quoted local part":                       {`"a*b"@example.com`, ""},
		"two dots in a local part":                  {"a..b*@example.com", ""},
		"a space in a local part":                   {"a b*@example.com", ""},
		"a zero-width space in a local part":        {"a\u200b*@example.com", ""},
		"a local part of 65 octets":                 {strings.Repeat("a", 64) + "*@example.com", ""},
		"a plus that is refused anyway":             {"a+b@example.com", directory.PlusRefuse},
		"a plus and a wildcard, refused anyway":     {"a+*@example.com", directory.PlusRefuse},
		"a plus and a wildcard, where it is folded": {"a+*@example.com", directory.PlusFold},
		"a plus that folds to nothing":              {"+a@example.com", directory.PlusFold},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for list, settings := range map[string]directory.PolicySettings{
				"allowed": {Allow: []string{"ok.example", test.pattern}, Plus: test.mode},
				"blocked": {Block: []string{"ok.example", test.pattern}, Plus: test.mode},
			} {
				p, err := directory.ParsePolicy(settings)
				if err == nil || p != nil {
					t.Fatalf("%q is accepted", test.pattern)
				}
				quoted := strconv.Quote(test.pattern)
				if !strings.Contains(err.Error(), quoted) || !strings.Contains(err.Error(), list) {
					t.Errorf("%q does not name %q, %s", err, test.pattern, list)
				}
			}
		})
	}
	if _, err := directory.ParsePolicy(directory.PolicySettings{Plus: "maybe"}); err == nil || !strings.Contains(err.Error(), "maybe") {
		t.Errorf("an unknown mode: %v", err)
	}
}
