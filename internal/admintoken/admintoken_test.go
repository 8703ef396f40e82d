package admintoken_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/admintoken"
)

// made is a new token and its entry.
func made(t *testing.T, name string, scopes ...admintoken.Scope) (token, entry string) {
	t.Helper()
	made, entry, err := admintoken.New(name, scopes)
	if err != nil {
		t.Fatal(err)
	}
	return made.Reveal(), entry
}

func TestATokenOpensWhatItsEntrySays(t *testing.T) {
	t.Parallel()
	reader, first := made(t, "dashboard", admintoken.UsersRead)
	writer, second := made(t, "on-call-2", admintoken.UsersWrite, admintoken.SessionsWrite)
	for _, text := range []string{first + ";" + second, " " + first + " ;\n" + second + ";\n"} {
		tokens, err := admintoken.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tokens.Names(); !slices.Equal(got, []string{"dashboard", "on-call-2"}) || tokens.None() {
			t.Errorf("the holders are %q", got)
		}
		holder, err := tokens.Find(reader)
		if err != nil || holder.Name != "dashboard" || !holder.May(admintoken.UsersRead) || holder.May(admintoken.UsersWrite) {
			t.Errorf("the first is %+v, %v", holder, err)
		}
		holder, err = tokens.Find(writer)
		if err != nil || holder.Name != "on-call-2" || holder.May(admintoken.UsersRead) || !holder.May(admintoken.SessionsWrite) {
			t.Errorf("the second is %+v, %v", holder, err)
		}
	}
}

func TestWhatIsNoTokenOpensNothing(t *testing.T) {
	t.Parallel()
	token, entry := made(t, "ops", admintoken.Scopes()...)
	other, _ := made(t, "ops", admintoken.UsersRead)
	tokens, err := admintoken.Parse(entry)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "pta_"))
	if err != nil || len(raw) != 32 {
		t.Fatalf("%v: a token of %d bytes", err, len(raw))
	}
	_, digits, _ := strings.Cut(entry, "sha256:")
	for name, text := range map[string]string{
		"nothing":                   "",
		"another one":               other,
		"without its prefix":        strings.TrimPrefix(token, "pta_"),
		"a session's prefix":        "pts_" + strings.TrimPrefix(token, "pta_"),
		"in capitals":               strings.ToUpper(token),
		"a character less":          token[:len(token)-1],
		"a character more":          token + "A",
		"padded":                    token + "=",
		"with a line break":         token + "\n",
		"with a line break in it":   token[:20] + "\n" + token[20:],
		"with a space before":       " " + token,
		"its hash":                  "pta_" + digits,
		"its hash as a token":       "pta_" + base64.RawURLEncoding.EncodeToString([]byte(digits)[:32]),
		"its name":                  "ops",
		"the standard alphabet":     "pta_" + base64.RawStdEncoding.EncodeToString(append([]byte{0xfb, 0xff}, raw[2:]...)),
		"spare bits that are set":   token[:len(token)-1] + next(token[len(token)-1]),
		"its entry":                 entry,
		"something far too long":    "pta_" + strings.Repeat("A", 1<<20),
		"a token of nothing but 0s": "pta_" + strings.Repeat("A", 43),
	} {
		if holder, err := tokens.Find(text); !errors.Is(err, admintoken.ErrUnknown) || holder.Name != "" || len(holder.Scopes) != 0 {
			t.Errorf("%s: %+v, %v", name, holder, err)
		}
	}
	for name, none := range map[string]*admintoken.Tokens{"nil": nil, "zero": {}} {
		if _, err := none.Find(token); !errors.Is(err, admintoken.ErrUnknown) || !none.None() || len(none.Names()) != 0 {
			t.Errorf("%s knows somebody: %v", name, err)
		}
	}
}

// next is a character whose four leading bits are those of the given one, and
// whose two last are not.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

func TestEntriesThatAreNoneAreRefusedInOneLineWithoutWhatTheySaid(t *testing.T) {
	t.Parallel()
	token, good := made(t, "ops", admintoken.UsersRead)
	_, other := made(t, "other", admintoken.UsersRead)
	_, digest, _ := strings.Cut(good, "sha256:")
	of := func(raw string) string {
		sum := sha256.Sum256([]byte(raw))
		return hex.EncodeToString(sum[:])
	}
	many := make([]string, 65)
	for i := range many {
		_, many[i] = made(t, fmt.Sprintf("n-%d", i), admintoken.UsersRead)
	}
	for name, test := range map[string]struct{ text, says string }{
		"nothing":                     {"", "none given"},
		"blanks":                      {" \n", "none given"},
		"a separator":                 {";", "none given"},
		"an empty entry":              {good + ";;" + other, "entry 2 of 3 is empty"},
		"two separators at the end":   {good + ";;", "entry 2 of 2 is empty"},
		"no hash":                     {"ops users:read", "entry 1 of 1 is not NAME"},
		"no scope":                    {"ops sha256:" + digest, "is not NAME"},
		"a space among the scopes":    {"ops users:read, users:write sha256:" + digest, "is not NAME"},
		"entries without a separator": {good + " " + other, "is not NAME"},
		"a comma for the separator":   {good + "," + other, "is not NAME"},
		"a name in capitals":          {"Ops users:read sha256:" + digest, "a name that is not"},
		"a name that is too long":     {strings.Repeat("a", 33) + " users:read sha256:" + digest, "a name that is not"},
		"a name with a colon":         {"admin:ops users:read sha256:" + digest, "a name that is not"},
		"an unknown scope":            {"ops users:all sha256:" + digest, "a scope that there is not"},
		"every scope":                 {"ops * sha256:" + digest, "a scope that there is not"},
		"an empty scope":              {"ops users:read, sha256:" + digest, "a scope that there is not"},
		"a scope twice":               {"ops users:read,users:read sha256:" + digest, "a scope twice"},
		"a scope in capitals":         {"ops Users:Read sha256:" + digest, "a scope that there is not"},
		"a token for the hash":        {"ops users:read " + token, "has a token in it"},
		"a token beside the hash":     {good + " " + token, "has a token in it"},
		"another hash":                {"ops users:read sha512:" + digest, "begins with sha256:"},
		"no algorithm":                {"ops users:read " + digest, "begins with sha256:"},
		"a short hash":                {"ops users:read sha256:" + digest[:62], "not 64 hexadecimal digits"},
		"a long hash":                 {"ops users:read sha256:" + digest + "00", "not 64 hexadecimal digits"},
		"no hexadecimal digits":       {"ops users:read sha256:" + strings.Repeat("xy", 32), "not 64 hexadecimal digits"},
		"a hash of zeros":             {"ops users:read sha256:" + strings.Repeat("0", 64), "typed, not computed"},
		"a hash that counts":          {"ops users:read sha256:" + strings.Repeat("0123456789abcdef", 4), "typed, not computed"},
		"the hash of nothing":         {"ops users:read sha256:" + of(""), "anyone can guess"},
		"the hash of the prefix":      {"ops users:read sha256:" + of("pta_"), "anyone can guess"},
		"the hash of zeros":           {"ops users:read sha256:" + of(strings.Repeat("\x00", 32)), "anyone can guess"},
		"the hash of one byte":        {"ops users:read sha256:" + of(strings.Repeat("\xff", 32)), "anyone can guess"},
		"a name twice":                {good + ";" + strings.Replace(other, "other", "ops", 1), "entry 2 of 2 has the name of entry 1"},
		"a token twice":               {good + ";other users:write sha256:" + strings.ToUpper(digest), "entry 2 of 2 has the token of entry 1"},
		"more than anybody needs":     {strings.Join(many, ";"), "more than 64"},
	} {
		tokens, err := admintoken.Parse(test.text)
		if tokens != nil || !errors.Is(err, admintoken.ErrEntries) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said := err.Error()
		if strings.Contains(said, "\n") || strings.Contains(said, digest[:16]) || strings.Contains(said, strings.TrimPrefix(token, "pta_")[:16]) {
			t.Errorf("%s: the error repeats what was read: %s", name, said)
		}
	}
}

func TestATokenIsMadeOnlyForAnEntryThatIsGood(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "A", "a b", "a;b", strings.Repeat("a", 33)} {
		if _, _, err := admintoken.New(name, admintoken.Scopes()); !errors.Is(err, admintoken.ErrEntries) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, scopes := range [][]admintoken.Scope{nil, {"users:all"}, {admintoken.UsersRead, admintoken.UsersRead}} {
		if _, _, err := admintoken.New("ops", scopes); !errors.Is(err, admintoken.ErrEntries) {
			t.Errorf("%q: %v", scopes, err)
		}
	}
}

func TestATokenIsHiddenWhereverItIsPrinted(t *testing.T) {
	t.Parallel()
	token, _, err := admintoken.New("ops", admintoken.Scopes())
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, token); got != "[redacted]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if token.LogValue().String() != "[redacted]" || token.String() != "[redacted]" {
		t.Error("it is not hidden")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"ops users:read sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "a b c;", ";;", "pta_ x y", "a users:read sha256:",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := admintoken.Parse(text)
		if (tokens == nil) != (err != nil) || err != nil && !errors.Is(err, admintoken.ErrEntries) {
			t.Fatalf("%q: %v, %v", text, tokens, err)
		}
		if err == nil && tokens.None() {
			t.Errorf("%q has nobody", text)
		}
	})
}
