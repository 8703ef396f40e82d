package program

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/store/storetest"
)

// How thoroughly to look: `make oracle` asks for more than a test run does.
var (
	oraclePairs   = flag.Int("oracle.pairs", 100, "pairs of a registered and an unregistered address whose answers are compared")
	oracleTimings = flag.Int("oracle.timings", 2000, "sign-ups that are timed")
)

// standings are how a registered user can stand.
var standings = []string{"invited", "active", "suspended", "failed", "deleted"}

// TestASVS_6_3_8_NobodyLearnsWhoIsRegistered signs addresses up that are registered, in
// every standing, and others that are not, and looks for a difference: in the
// bytes of the answers, in the receipts afterwards, and in the time that an
// answer takes.
func TestASVS_6_3_8_NobodyLearnsWhoIsRegistered(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes some thousand sign-ups")
	}
	w := newKindWorld(t, storetest.Postgres(t))
	w.settings["PORTICO_RATE_LIMITS"] = "off"
	w.start()
	b := w.browser()
	registered := register(t, w, b, len(standings)*20)

	// A failed user's receipts say so, as an unregistered one's would that the
	// provider refuses; those are compared at once and not afterwards.
	var pairs []pair
	for i := range *oraclePairs {
		p := pair{known: registered[i%len(registered)], unknown: fmt.Sprintf("somebody-%d@example.com", i)}
		p.compare(t, b)
		pairs = append(pairs, p)
	}
	for _, p := range pairs {
		if p.known.standing == "failed" {
			continue
		}
		b.await(p.receipts[0], "invited")
		b.await(p.receipts[1], "invited")
	}
	t.Logf("%d pairs of answers are alike", len(pairs))
	timings(t, b, registered)
}

// registration is a registered address.
type registration struct{ email, standing string }

// register makes users in every standing.
func register(t *testing.T, w *world, b *browser, n int) []registration {
	t.Helper()
	var accounts []registration
	var receipts []receipt
	for i := range n {
		a := registration{fmt.Sprintf("registered-%d@example.com", i), standings[i%len(standings)]}
		accounts = append(accounts, a)
		receipts = append(receipts, b.signUp(a.email))
	}
	db := w.behind()
	defer db.Close()
	for i, a := range accounts {
		b.await(receipts[i], "invited")
		if _, err := db.SQL().ExecContext(t.Context(), `UPDATE users SET status = $1,
			activated_at = CASE WHEN $1 IN ('active', 'suspended', 'deleted') THEN now() END
			WHERE email_canonical = $2`, a.standing, a.email); err != nil {
			t.Fatal(err)
		}
	}
	return accounts
}

// pair is a registered address and another.
type pair struct {
	known    registration
	unknown  string
	receipts [2]receipt
}

// compare holds the two answers to a sign-up against each other.
func (p *pair) compare(t *testing.T, b *browser) {
	t.Helper()
	emails := []string{p.known.email, p.unknown}
	var answers [2]string
	order := rand.Perm(2) //nolint:forbidigo // chance, no secret
	for _, i := range order {
		a := b.do(http.MethodPost, b.w.public+"/signup", fmt.Sprintf(`{"email":%q}`, emails[i]))
		a.want(t, http.StatusAccepted, &p.receipts[i])
		answers[i] = a.redacted()
	}
	if answers[0] != answers[1] {
		t.Errorf("%s is told apart from an unregistered address:\n%s\n%s", p.known.standing, answers[0], answers[1])
	}
}

// What differs between any two answers.
var (
	receiptText = regexp.MustCompile(`[A-Za-z0-9_-]{22}`)
	dateText    = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
)

// redacted is the whole answer without ids, dates and the request's id.
func (a answer) redacted() string {
	var text strings.Builder
	fmt.Fprintln(&text, a.status)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if name == "X-Request-Id" || name == "Date" {
			continue
		}
		fmt.Fprintln(&text, name, receiptText.ReplaceAllString(strings.Join(a.header[name], ","), "ID"))
	}
	text.WriteString(dateText.ReplaceAllString(receiptText.ReplaceAllString(a.body, "ID"), "DATE"))
	return text.String()
}

// timings times sign-ups with registered and unregistered addresses in random
// order, and holds the difference of their medians against what two halves of
// the same kind differ by.
func timings(t *testing.T, b *browser, registered []registration) {
	t.Helper()
	var known, unknown []time.Duration
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for i := range *oracleTimings {
		isKnown := rand.IntN(2) == 0 //nolint:forbidigo // chance, no secret
		email := registered[i%len(registered)].email
		if !isKnown {
			email = fmt.Sprintf("timed-%05d@example.com", i) // as long as the others
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.w.public+"/signup", strings.NewReader(fmt.Sprintf(`{"email":%q}`, email)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		begun := time.Now()
		response, err := client.Do(request)
		took := time.Since(begun)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusAccepted {
			t.Fatalf("status %d", response.StatusCode)
		}
		if isKnown {
			known = append(known, took)
		} else {
			unknown = append(unknown, took)
		}
	}
	apart := (middle(known) - middle(unknown)).Abs()
	noise := max(noiseOf(known), noiseOf(unknown))
	t.Logf("%d timings: the medians are %v and %v, %v apart; halves of one kind are up to %v apart",
		*oracleTimings, middle(known), middle(unknown), apart, noise)
	if apart > noise {
		t.Errorf("registered addresses take %v, others %v: more apart than the noise of %v", middle(known), middle(unknown), noise)
	}
}

func middle(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

// noiseOf is the largest difference between the medians of two random halves,
// of some hundred ways to halve them.
func noiseOf(times []time.Duration) (largest time.Duration) {
	mixed := slices.Clone(times)
	for range 200 {
		rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] }) //nolint:forbidigo // chance, no secret
		half := len(mixed) / 2
		largest = max(largest, (middle(mixed[:half]) - middle(mixed[half:])).Abs())
	}
	return largest
}
