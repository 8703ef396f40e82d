package clientkey_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-id/portico/internal/clientkey"
)

func generate(tb testing.TB, algorithm string) string {
	tb.Helper()
	text, err := clientkey.Generate(algorithm)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func parse(tb testing.TB, text string) *clientkey.Key {
	tb.Helper()
	key, err := clientkey.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// registered is what a provider has of the key.
func registered(t *testing.T, key *clientkey.Key) *jose.JSONWebKeySet {
	t.Helper()
	set := new(jose.JSONWebKeySet)
	if err := json.Unmarshal(key.Public(), set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestAnAssertionSaysWhoTheClientIs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 999, time.UTC)
	for _, algorithm := range []string{clientkey.ES256, clientkey.RS256} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			key := parse(t, generate(t, algorithm))
			if key.Algorithm() != algorithm {
				t.Fatalf("the algorithm is %s", key.Algorithm())
			}
			assertion, err := key.Assertion("portico", "https://auth.example.com/token", now)
			if err != nil {
				t.Fatal(err)
			}
			// As a strict provider reads it: this algorithm, this key, no other.
			signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
			if err != nil {
				t.Fatal(err)
			}
			header := signed.Signatures[0].Header
			if header.KeyID != key.ID() || header.ExtraHeaders["typ"] != "JWT" || header.JSONWebKey != nil || len(header.ExtraHeaders) != 1 {
				t.Errorf("the header is %+v", header)
			}
			found := registered(t, key).Key(header.KeyID)
			if len(found) != 1 {
				t.Fatalf("the provider finds %d keys", len(found))
			}
			payload, err := signed.Verify(found[0])
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(payload, &got); err != nil {
				t.Fatal(err)
			}
			delete(got, "jti")
			want := map[string]any{
				"iss": "portico", "sub": "portico", "aud": "https://auth.example.com/token",
				"iat": float64(now.Unix()), "exp": float64(now.Unix() + 60),
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the claims are %v", got)
			}
		})
	}
}

func TestASVS_11_5_1_AssertionIDsAreRandomAndNeverTheSame(t *testing.T) {
	t.Parallel()
	key := parse(t, generate(t, clientkey.ES256))
	seen := map[string]bool{}
	for range 1000 {
		assertion, err := key.Assertion("portico", "https://auth.example.com/token", time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(assertion, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			ID string `json:"jti"`
		}
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Fatal(err)
		}
		if raw, err := base64.RawURLEncoding.DecodeString(got.ID); err != nil || len(raw)*8 < 128 {
			t.Fatalf("the id %q has %d bits: %v", got.ID, len(raw)*8, err)
		}
		seen[got.ID] = true
	}
	if len(seen) != 1000 {
		t.Error("an id came twice")
	}
}

func TestAnAssertionNeedsAClientAndAnAudience(t *testing.T) {
	t.Parallel()
	key := parse(t, generate(t, clientkey.ES256))
	for _, names := range [][2]string{{"", "https://auth.example.com"}, {"portico", ""}} {
		if assertion, err := key.Assertion(names[0], names[1], time.Unix(1, 0)); err == nil || assertion != "" {
			t.Errorf("%q: %q, %v", names, assertion, err)
		}
	}
}

func TestAKeySignsForSeveralAtOnce(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{clientkey.ES256, clientkey.RS256} {
		key := parse(t, generate(t, algorithm))
		set := registered(t, key)
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for range 5 {
					assertion, err := key.Assertion("portico", "https://auth.example.com/token", time.Unix(1, 0))
					if err != nil {
						t.Error(err)
						return
					}
					signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := signed.Verify(set.Keys[0]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		workers.Wait()
	}
}

func TestThePublicSetIsOneKeyWithoutItsPrivateHalf(t *testing.T) {
	t.Parallel()
	for algorithm, members := range map[string][]string{
		clientkey.ES256: {"alg", "crv", "kid", "kty", "use", "x", "y"},
		clientkey.RS256: {"alg", "e", "kid", "kty", "n", "use"},
	} {
		key := parse(t, generate(t, algorithm))
		var set struct {
			Keys []map[string]string `json:"keys"`
		}
		if err := json.Unmarshal(key.Public(), &set); err != nil || len(set.Keys) != 1 {
			t.Fatalf("%v in %s", err, key.Public())
		}
		var got []string
		for member := range set.Keys[0] {
			got = append(got, member)
		}
		slices.Sort(got)
		if !slices.Equal(got, members) {
			t.Errorf("the members are %v", got)
		}
		if set.Keys[0]["alg"] != algorithm || set.Keys[0]["use"] != "sig" || set.Keys[0]["kid"] != key.ID() {
			t.Errorf("the key is %v", set.Keys[0])
		}
		key.Public()[0] = 'x'
		if key.Public()[0] != '{' {
			t.Error("whoever was given the set can change it for others")
		}
	}
}

func TestASVS_11_2_3_AGeneratedKeyHas128BitsOfSecurity(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{clientkey.ES256, clientkey.RS256} {
		one, two := parse(t, generate(t, algorithm)), parse(t, generate(t, algorithm))
		if one.Strength() < 128 || one.ID() == two.ID() {
			t.Errorf("%s: strength %d, ids %s and %s", algorithm, one.Strength(), one.ID(), two.ID())
		}
	}
	for _, algorithm := range []string{"", "none", "HS256", "PS256", "es256"} {
		if text, err := clientkey.Generate(algorithm); err == nil || text != "" {
			t.Errorf("%q makes %q", algorithm, text)
		}
	}
}

func TestASVS_13_3_1_AKeyNeverShowsItself(t *testing.T) {
	t.Parallel()
	key := parse(t, generate(t, clientkey.ES256))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, key); got != "[redacted]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", key)
	if !strings.Contains(log.String(), `"key":"[redacted]"`) {
		t.Errorf("log: %s", log.String())
	}
	if text, err := json.Marshal(key); err != nil || string(text) != `"[redacted]"` || key.String() != "[redacted]" {
		t.Errorf("JSON: %s, %v", text, err)
	}
}
