package directory_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/directory"
)

// checkPolicy holds what is true of every policy and every text.
func checkPolicy(t testingT, settings directory.PolicySettings, typed string) {
	t.Helper()
	p, err := directory.ParsePolicy(settings)
	if err != nil {
		return
	}
	plain, plainErr := directory.ParseEmail(typed)
	email, err := p.Parse(typed)
	switch {
	case plainErr != nil:
		if !errors.Is(err, directory.ErrEmail) {
			t.Fatalf("%q is no address, and the policy says %v", typed, err)
		}
		return
	case err == nil && email.String() != typed:
		t.Fatalf("%q was not kept as typed: %q", typed, email)
	case err != nil && email != (directory.Email{}):
		t.Fatalf("%q is refused and yet an address", typed)
	}
	// The canonical form before the policy is another spelling, and after it
	// the form of all spellings.
	again, againErr := p.Parse(plain.Canonical())
	if !errors.Is(againErr, err) || again.Canonical() != email.Canonical() {
		t.Fatalf("%q is %q, %v; spelled %q it is %q, %v", typed, email.Canonical(), err, plain.Canonical(), again.Canonical(), againErr)
	}
	if err != nil {
		return
	}
	if again, err := p.Parse(email.Canonical()); err != nil || again.Canonical() != email.Canonical() {
		t.Fatalf("%q has the canonical form %q, whose own is %q, %v", typed, email.Canonical(), again.Canonical(), err)
	}
	local, _, _ := strings.Cut(email.Canonical(), "@")
	if strings.Contains(local, "+") && (settings.Plus == directory.PlusFold || settings.Plus == directory.PlusRefuse) {
		t.Fatalf("%q keeps its plus: %q", typed, email.Canonical())
	}
}

var (
	locals   = rapid.OneOf(casedWords, rapid.SampledFrom([]string{"a", "ab", "a+b", "b+", "a.b", "anna+x+y", "иван+тег"}))
	names    = rapid.SampledFrom([]string{"a.example", "b.example", "x.a.example", "y.x.a.example", "bücher.example", "жук.рф", "жук.example"})
	patterns = rapid.Custom(func(t *rapid.T) string {
		domain := rapid.SampledFrom([]string{"", "*."}).Draw(t, "beneath") + names.Draw(t, "name")
		switch rapid.IntRange(0, 4).Draw(t, "form") {
		case 0:
			return domain
		case 1:
			return locals.Draw(t, "local") + "@" + domain
		case 2:
			return locals.Draw(t, "local") + "*@" + domain
		case 3:
			return rapid.SampledFrom([]string{"*", "a*", "*b", "*a*", "*+*"}).Draw(t, "wildcards") + "@*"
		default:
			return "*@" + domain
		}
	})
	modes = rapid.SampledFrom([]directory.PlusMode{directory.PlusAllow, directory.PlusRefuse, directory.PlusFold})
)

func TestWhatAPolicyDecidesDoesNotDependOnTheSpelling(t *testing.T) {
	t.Parallel()
	trash := disposable(t, "a.example", "bücher.example")
	rapid.Check(t, func(t *rapid.T) {
		settings := directory.PolicySettings{
			Allow:      rapid.SliceOfN(patterns, 0, 2).Draw(t, "allow"),
			Block:      rapid.SliceOfN(patterns, 0, 4).Draw(t, "block"),
			Disposable: rapid.SampledFrom([]*directory.DisposableDomains{nil, trash}).Draw(t, "disposable"),
			Plus:       modes.Draw(t, "plus"),
		}
		local, name := locals.Draw(t, "local"), names.Draw(t, "name")
		checkPolicy(t, settings, local+"@"+name)
		p, err := directory.ParsePolicy(settings)
		if err != nil {
			return
		}
		// So that the patterns' spelling does not matter either.
		varied := settings
		varied.Allow, varied.Block = varyAll(t, settings.Allow), varyAll(t, settings.Block)
		q, err := directory.ParsePolicy(varied)
		if err != nil {
			t.Fatalf("%q and %q are refused: %v", varied.Allow, varied.Block, err)
		}
		want, wantErr := p.Parse(local + "@" + name)
		got, gotErr := q.Parse(vary(t, local) + "@" + vary(t, name))
		if got.Canonical() != want.Canonical() || !errors.Is(gotErr, wantErr) {
			t.Fatalf("got %q, %v; want %q, %v", got.Canonical(), gotErr, want.Canonical(), wantErr)
		}
	})
}

// varyAll varies patterns, but for their wildcards and what is around them.
func varyAll(t *rapid.T, patterns []string) []string {
	varied := make([]string, len(patterns))
	for i, pattern := range patterns {
		varied[i] = vary(t, pattern)
		for plain, wide := range map[string]string{"*": "＊", "@": "＠", ".": "．"} {
			varied[i] = strings.ReplaceAll(varied[i], wide, plain)
		}
	}
	return varied
}

func TestWhatIsAllowedIsNeverBlocked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "local") + "@" + names.Draw(t, "name")
		allow := rapid.SliceOfN(patterns, 1, 3).Draw(t, "allow")
		alone, err := directory.ParsePolicy(directory.PolicySettings{Block: allow})
		if err != nil {
			return
		}
		_, listed := alone.Parse(address)
		p, err := directory.ParsePolicy(directory.PolicySettings{Allow: allow, Block: []string{"*"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Parse(address); (err == nil) != errors.Is(listed, directory.ErrEmailBlocked) {
			t.Fatalf("%q is held against %q: allowed %t, matched as a block %v", address, allow, err == nil, listed)
		}
	})
}

func FuzzPolicy(f *testing.F) {
	trash := directory.EmbeddedDisposableDomains()
	for _, typed := range []string{"anna@example.com", "Anna+X@bücher.example", "ｂ＋@mailinator．com", "сара+ж@жук.example", "+@a.example"} {
		f.Add("*@example.com", "*", "fold", typed)
		f.Add("", "b*@*.example", "refuse", typed)
		f.Add("bücher.example", "anna+*@*", "allow", typed)
		f.Add("*a*a*@*", "сар*@жук.example", "", typed)
	}
	f.Fuzz(func(t *testing.T, allow, block, plus, typed string) {
		settings := directory.PolicySettings{Disposable: trash, Plus: directory.PlusMode(plus)}
		if allow != "" {
			settings.Allow = []string{allow}
		}
		if block != "" {
			settings.Block = []string{block}
		}
		checkPolicy(t, settings, typed)
		settings.Plus = directory.PlusFold
		checkPolicy(t, settings, typed)
	})
}

func BenchmarkParseEmail(b *testing.B) {
	for name, typed := range map[string]string{
		"ASCII": "anna.example@example.com", "ASCII in capitals": "Anna.Example@Example.com",
		"A-label": "anna@xn--bcher-kva.example", "Latin": "björn@bücher.example", "Japanese": "東京タワーの近く@例え.テスト",
		"look-alike": "раураӏ@example.com", "malformed": "anna@example", "64 letters": strings.Repeat("ж", 32) + "@example.com",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = directory.ParseEmail(typed)
			}
		})
	}
}

func BenchmarkPolicy(b *testing.B) {
	p := policy(b, directory.PolicySettings{
		Allow: []string{"*@corp.example"}, Block: []string{"admin@*", "*.example.org", "blocked.example"},
		Disposable: directory.EmbeddedDisposableDomains(), Plus: directory.PlusFold,
	})
	for name, typed := range map[string]string{"admitted": "anna@mail.example.com", "folded": "anna+x@example.com", "disposable": "anna@mailinator.com"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.Parse(typed)
			}
		})
	}
	b.Run("list within", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = directory.EmbeddedDisposableDomains()
		}
	})
}
