package ratelimit_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/ratelimit"
)

func TestLimitsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	changed := func(change func(l *ratelimit.Limits)) ratelimit.Limits {
		l := ratelimit.DefaultLimits()
		change(&l)
		return l
	}
	for name, test := range map[string]struct {
		text string
		want ratelimit.Limits
		back string
	}{
		"on is the defaults": {"on", ratelimit.DefaultLimits(), "on"},
		"off is none":        {"off", ratelimit.Limits{}, "off"},
		"what is not named is as by default": {
			"client=10/1s",
			changed(func(l *ratelimit.Limits) { l.Client = ratelimit.Limit{Count: 10, Per: time.Second} }),
			"client=10/1s,address=5/1h,domain=600/1m,global=3000/1m,login=300/1m,logout=600/1m,email=5/1h,admin=30/1m",
		},
		"single buckets are off": {
			" domain=off , address=2/90m",
			changed(func(l *ratelimit.Limits) {
				l.Domain, l.Address = ratelimit.Limit{}, ratelimit.Limit{Count: 2, Per: 90 * time.Minute}
			}),
			"client=30/1m,address=2/1h30m,domain=off,global=3000/1m,login=300/1m,logout=600/1m,email=5/1h,admin=30/1m",
		},
		"all buckets are off": {"client=off,address=off,domain=off,global=off,login=off,logout=off,email=off,admin=off", ratelimit.Limits{}, "off"},
		"the defaults by hand": {
			"global=3000/60s,domain=600/1m0s,address=5/60m,client=30/1m", ratelimit.DefaultLimits(), "on",
		},
		"the longest time": {
			"global=1/24h",
			changed(func(l *ratelimit.Limits) { l.Global = ratelimit.Limit{Count: 1, Per: 24 * time.Hour} }),
			"client=30/1m,address=5/1h,domain=600/1m,global=1/24h,login=300/1m,logout=600/1m,email=5/1h,admin=30/1m",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ratelimit.ParseLimits(test.text)
			if err != nil || got != test.want {
				t.Fatalf("got %+v, %v", got, err)
			}
			if back := got.String(); back != test.back {
				t.Errorf("written as %s", back)
			}
		})
	}
}

func TestWhatIsNoLimitsIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, says string }{
		"nothing":                {"", `""`},
		"another word":           {"yes", `"yes"`},
		"a limit without name":   {"30/1m", `"30/1m"`},
		"an empty part":          {"client=30/1m,", `""`},
		"an unknown name":        {"client=30/1m,user=5/1h", `"user"`},
		"a name twice":           {"client=30/1m,client=off", "client is there twice"},
		"no limit":               {"client=", `client=: ""`},
		"on for one":             {"client=on", `"on" is neither off nor like 30/1m`},
		"no time":                {"client=30", `"30" is neither`},
		"an empty time":          {"client=30/", `client=30/: "" is not a time`},
		"a time without unit":    {"client=30/60", `"60" is not a time`},
		"a word for a number":    {"address=five/1h", `address=five/1h: "five" is not a number`},
		"no tokens":              {"client=0/1m", `"0" is not a number`},
		"less than none":         {"client=-1/1m", `"-1" is not a number`},
		"more than the clock":    {"client=1000001/1s", `"1000001" is not a number from 1 to 1000000`},
		"less than a second":     {"client=1/999ms", `"999ms" is not a time from 1s to 24h`},
		"more than a day":        {"client=1/25h", `"25h" is not a time`},
		"a time in the past":     {"client=1/-1h", `"-1h" is not a time`},
		"a time that overflows":  {"client=1/9999999999h", `"9999999999h" is not a time`},
		"a list within the word": {"off,client=1/1m", `"off"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ratelimit.ParseLimits(test.text)
			if !errors.Is(err, ratelimit.ErrLimits) || got != (ratelimit.Limits{}) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v; it does not say %s", err, test.says)
			}
		})
	}
}

func TestLimitsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	limit := rapid.Custom(func(r *rapid.T) ratelimit.Limit {
		if rapid.Bool().Draw(r, "off") {
			return ratelimit.Limit{}
		}
		return ratelimit.Limit{
			Count: rapid.IntRange(1, 1_000_000).Draw(r, "count"),
			Per:   time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(r, "per")),
		}
	})
	rapid.Check(t, func(r *rapid.T) {
		want := ratelimit.Limits{
			Client: limit.Draw(r, "client"), Address: limit.Draw(r, "address"),
			Domain: limit.Draw(r, "domain"), Global: limit.Draw(r, "global"),
			Login: limit.Draw(r, "login"), Logout: limit.Draw(r, "logout"), Email: limit.Draw(r, "email"), Admin: limit.Draw(r, "admin"),
		}
		if got, err := ratelimit.ParseLimits(want.String()); err != nil || got != want {
			r.Fatalf("%s: %+v, %v", want, got, err)
		}
	})
}

func FuzzParseLimits(f *testing.F) {
	for _, text := range []string{"on", "off", "", "client=30/1m,address=off", "global=1/24h,domain=1000000/1s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		limits, err := ratelimit.ParseLimits(text)
		if err != nil {
			return
		}
		if again, err := ratelimit.ParseLimits(limits.String()); err != nil || again != limits {
			t.Errorf("%q: %+v, then %+v, %v", text, limits, again, err)
		}
	})
}
