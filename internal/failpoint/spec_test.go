package failpoint

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestAPlanIsReadAndWritten(t *testing.T) {
	t.Parallel()
	const text = "seed=7;create.before=kill@0.05;mail.after=delay:50ms@#3;settle.after_commit=panic"
	want := Spec{Seed: 7, Rules: []Rule{
		{Point: "create.before", Action: Kill, Probability: 0.05},
		{Point: "mail.after", Action: Delay, Delay: 50 * time.Millisecond, Nth: 3, Probability: 1},
		{Point: "settle.after_commit", Action: Panic, Probability: 1},
	}}
	got, err := Parse(text)
	if err != nil || got.Seed != want.Seed || !slices.Equal(got.Rules, want.Rules) {
		t.Fatalf("read as %+v, %v", got, err)
	}
	if got.String() != text {
		t.Errorf("written as %s", got)
	}
}

func TestAPlanThatIsMistypedIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a point that nobody has":      "create.befor=kill",
		"an action that nobody has":    "create.before=die",
		"no action":                    "create.before",
		"a delay without a duration":   "create.before=delay",
		"a kill with a duration":       "create.before=kill:5s",
		"a probability of none":        "create.before=kill@0",
		"a probability above one":      "create.before=kill@1.5",
		"a probability that is no one": "create.before=kill@NaN",
		"the zeroth passing":           "create.before=kill@#0",
		"two rules for a point":        "create.before=kill;create.before=panic",
		"a seed that is no number":     "seed=x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(text); !errors.Is(err, ErrSpec) {
				t.Errorf("%q: %v", text, err)
			}
		})
	}
}

func TestNoNameIsGivenTwice(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{Points, Bugs} {
		sorted := slices.Sorted(slices.Values(names))
		if len(slices.Compact(sorted)) != len(names) {
			t.Errorf("twice in %v", names)
		}
	}
}
