package directory_test

import (
	"bufio"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/directory"
)

func TestTheEmbeddedListIsWhatItsHeadSays(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("disposable/domains.txt")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(file), "\n0")
	for _, fact := range []string{`Source: .*disposable-email-domains`, `Date: +20\d\d-[01]\d-[0-3]\d\n`, `Licence: CC0-1\.0 `} {
		if !regexp.MustCompile(fact).MatchString(head) {
			t.Errorf("the head does not say %q:\n%s", fact, head)
		}
	}
	lines, err := directory.ReadLines(strings.NewReader(string(file)))
	if err != nil {
		t.Fatal(err)
	}
	embedded := directory.EmbeddedDisposableDomains()
	if len(lines) < 5000 || *embedded != *disposable(t, lines...) {
		t.Errorf("its %d domains are not canonical, sorted, and each there once", len(lines))
	}
	for _, line := range lines {
		if !embedded.Contains(line) || !embedded.Contains("x."+line) {
			t.Errorf("%q is not found", line)
		}
	}
	for _, domain := range []string{"gmail.com", "outlook.com", "gmx.de", "proton.me", "qq.com", "example.com", "com", "", "zzz.zz", "0"} {
		if embedded.Contains(domain) {
			t.Errorf("%q is on it", domain)
		}
	}
}

func TestAListOfOnesOwnIsReadLineByLine(t *testing.T) {
	t.Parallel()
	domains := disposable(t, "\ufeff# mine", "", "Trash.example", "  bücher.example\t", "a.example\r", "trash.example", "#x.example")
	if domains.Len() != 3 {
		t.Errorf("it has %d domains", domains.Len())
	}
	for domain, want := range map[string]bool{
		"trash.example": true, "xn--bcher-kva.example": true, "a.example": true, "b.a.example": true,
		"x.example": false, "example": false, "rash.example": false, "trash.exampl": false, "": false, "\n": false,
	} {
		if domains.Contains(domain) != want {
			t.Errorf("%q is found: %t", domain, !want)
		}
	}
	for name, line := range map[string]string{
		"an address": "a@trash.example", "a wildcard": "*.trash.example", "a top-level domain": "example", "two domains": "a.example b.example",
	} {
		_, err := directory.ParseDisposableDomains(strings.NewReader("ok.example\n" + line))
		if err == nil || !strings.Contains(err.Error(), `"`+line+`"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("disk is gone")
	if _, err := directory.ParseDisposableDomains(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
	if _, err := directory.ParseDisposableDomains(strings.NewReader(strings.Repeat("a", 1<<20))); !errors.Is(err, bufio.ErrTooLong) {
		t.Errorf("a line without end: %v", err)
	}
	if empty := disposable(t); empty.Len() != 0 || empty.Contains("trash.example") {
		t.Error("an empty list holds something")
	}
	var none *directory.DisposableDomains
	if none.Len() != 0 || none.Contains("trash.example") {
		t.Error("no list holds something")
	}
}

func TestExactlyWhatIsListedIsFound(t *testing.T) {
	t.Parallel()
	domain := rapid.StringMatching(`([ab-]?[ab]\.){1,2}[ab]{1,2}`).Filter(func(s string) bool { return !strings.HasPrefix(s, "-") && !strings.Contains(s, ".-") })
	rapid.Check(t, func(t *rapid.T) {
		listed := rapid.SliceOf(domain).Draw(t, "listed")
		domains, err := directory.ParseDisposableDomains(strings.NewReader(strings.Join(listed, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		asked := domain.Draw(t, "asked")
		want := slices.ContainsFunc(listed, func(d string) bool { return d == asked || strings.HasSuffix(asked, "."+d) })
		if domains.Contains(asked) != want {
			t.Fatalf("%q is found among %q: %t", asked, listed, !want)
		}
	})
}
