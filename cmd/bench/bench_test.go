package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMain is the program where the test has started itself as a contestant or
// as the load generator.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEveryContestantAnswersAndIsMeasured(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts all contestants as processes")
	}
	profiles := t.TempDir()
	var out strings.Builder
	err := run(t.Context(), []string{
		"-rounds", "1", "-seconds", "0.1", "-sessions", "20", "-connections", "3", "-signups", "20", "-starts", "1", "-profile", profiles,
	}, nil, &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contests() {
		for _, one := range c.contestants {
			for _, column := range []string{`\d+`, `\d+\.\d\d`, `\d+\.\d +\d+\.\d`} { // requests, milliseconds, CPU and memory
				if !regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(one.title) + ` +` + column + `$`).MatchString(out.String()) {
					t.Errorf("the table does not say %s of %q", column, one.title)
				}
			}
			for _, kind := range []string{".cpu.pprof", ".allocs.pprof"} {
				if info, err := os.Stat(profiles + "/" + one.id + kind); err != nil || info.Size() == 0 {
					t.Errorf("no %s of %q: %v", kind, one.title, err)
				}
			}
		}
	}
	for _, row := range []string{
		`0s +\d+ +\d+\.\d\d`, `50ms +\d+ +\d\.\d\d +0\.80 +\d+\.\d\d`,
		`from its start until it is ready +\d[\d.]*m?s +150ms`, `memory when idle +\d+\.\d MiB +40\.0 MiB`,
		`memory, GET /me by 256 connections +[1-9]\d*\.\d MiB +80\.0 MiB`, `binary, stripped +\d+\.\d MiB +40\.0 MiB`,
	} {
		if !regexp.MustCompile(`(?m)^  ` + row + `$`).MatchString(out.String()) {
			t.Errorf("the tables do not say %s", row)
		}
	}
	for _, row := range []string{
		"| GET /me, a second | 3 | N | N | N.N |  |", "| provisioning at 50ms, users a second |  | N | 640, the ideal | N.N | 0.80 |",
		"| binary, stripped |  | N.N MiB |  |  | ≤ 40.0 MiB |",
	} {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(row), "N", `[\d,]+`)
		if !regexp.MustCompile(`(?m)^` + pattern + `$`).MatchString(out.String()) {
			t.Errorf("the summary does not say %s", row)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestTheSummarySaysTheLastOfSeveralTries(t *testing.T) {
	t.Parallel()
	var all summary
	for _, l := range []line{{what: "a", connections: "1", ours: "9"}, {what: "a", connections: "2"}, {what: "b"}, {what: "a", connections: "1", ours: "7"}} {
		all.put(l)
	}
	if want := (summary{{what: "a", connections: "1", ours: "7"}, {what: "a", connections: "2"}, {what: "b"}}); !slices.Equal(all, want) {
		t.Errorf("it says %+v", all)
	}
}

func TestNumbersAreReadInThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{0: "0", 999.6: "1,000", 12: "12", 15284: "15,284", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%g is %s", n, got)
		}
	}
}

// contestOf has ours do as many times as much as the better of two baselines.
func contestOf(times float64) table {
	theirs, better, our := contestant{id: "a", role: baseline}, contestant{id: "b", role: baseline}, contestant{id: "c", role: ours}
	t := table{
		contest: contest{contestants: []contestant{theirs, better, our}, connections: []int{64}, targets: map[int]float64{64: 1.5}},
		results: make(map[cell][]result),
	}
	for _, busy := range []float64{1, 7, 2, 3, 100} { // what the machine does beside it, by rounds
		t.results[cell{"a", 64}] = append(t.results[cell{"a", 64}], result{PerSecond: 500 / busy})
		t.results[cell{"b", 64}] = append(t.results[cell{"b", 64}], result{PerSecond: 1000 / busy})
		t.results[cell{"c", 64}] = append(t.results[cell{"c", 64}], result{PerSecond: 1000 * times / busy})
	}
	return t
}

func TestARatioIsToTheBestBaselineOfTheSameRound(t *testing.T) {
	t.Parallel()
	if ratio := contestOf(1.25).ratio(64); ratio != 1.25 {
		t.Errorf("it is %f", ratio)
	}
}

func TestTooSlowIsWhatMissesHalfOfItsTarget(t *testing.T) {
	t.Parallel()
	for times, want := range map[float64]bool{0.74: true, 0.76: false, 1.4: false, 2: false} {
		if got := contestOf(times).tooSlow(); got != want {
			t.Errorf("%g times as much is too slow: %v", times, got)
		}
	}
}

func TestWhatIsTooSlowIsMeasuredAgainAndFoundSlowTheThirdTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		check    bool
		outcomes []bool // slow, by turns
		measured int
		slow     bool
	}{
		"fast":                  {true, []bool{false}, 1, false},
		"slow once":             {true, []bool{true, false}, 2, false},
		"slow each time":        {true, []bool{true, true, true}, 3, true},
		"slow, and nobody asks": {false, []bool{true}, 1, true},
	} {
		measured := 0
		slow, err := options{check: test.check}.insist(io.Discard, func() (bool, error) {
			measured++
			return test.outcomes[measured-1], nil
		})
		if slow != test.slow || measured != test.measured || err != nil {
			t.Errorf("%s: slow %v after %d, %v", name, slow, measured, err)
		}
	}
}

func TestAnAnswerCountsOnlyIfItIsTheRightOne(t *testing.T) {
	t.Parallel()
	answer := func(status, headers, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nDate: now\r\n%s\r\n%s", status, headers, body)
	}
	for name, test := range map[string]struct {
		answer string
		counts bool
	}{
		"the right one":            {answer("200 OK", "Content-Length: 9\r\n", `{"id":42}`), true},
		"somebody else's":          {answer("200 OK", "Content-Length: 9\r\n", `{"id":43}`), false},
		"a refusal":                {answer("401 Unauthorized", "Content-Length: 9\r\n", `{"id":42}`), false},
		"one of unknown length":    {answer("200 OK", "", `{"id":42}`), false},
		"one that is not all here": {answer("200 OK", "Content-Length: 10\r\n", `{"id":42}`), false},
	} {
		err := checkAnswer(bufio.NewReader(strings.NewReader(test.answer)), request{Want: []byte(`"id":42`)})
		if (err == nil) != test.counts {
			t.Errorf("%s: %v", name, err)
		}
	}
}
