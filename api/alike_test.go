package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/store/storetest"
)

// shown is an answer as its bytes are, but for what must differ: the receipt,
// what is computed from it, dates and the request's id.
func (a answer) shown(receipt string) string {
	a.t.Helper()
	var all strings.Builder
	fmt.Fprintln(&all, a.status)
	var lines []string
	for name, values := range a.header {
		for _, value := range values {
			switch name {
			case "Date":
				value = "…"
			case "Etag", "X-Request-Id":
				value = fmt.Sprintf("%d characters", len(value))
			}
			lines = append(lines, name+": "+value)
		}
	}
	slices.Sort(lines)
	fmt.Fprintln(&all, strings.Join(lines, "\n"))
	all.WriteString(strings.ReplaceAll(a.body, a.header.Get("X-Request-Id"), "REQUEST"))
	if receipt == "" {
		return all.String()
	}
	return strings.ReplaceAll(all.String(), receipt, "RECEIPT")
}

// pair is one registered address and one that is not, as long as the other.
type pair struct{ registered, unknown string }

// pairs are so many, of users in every status that a settled one can have.
func (w *world) pairs(count int) []pair {
	w.t.Helper()
	pairs := make([]pair, count)
	for i := range pairs {
		pairs[i] = pair{fmt.Sprintf("reg%04d@example.com", i), fmt.Sprintf("new%04d@example.com", i)}
	}
	inParallel(len(pairs), func(i int) {
		w.browser().post("/signup", `{"email":"`+pairs[i].registered+`","display_name":"The Owner"}`).is(http.StatusAccepted)
	})
	w.settled(count)
	statuses := []string{"invited", "active", "suspended", "deleting", "deleted"}
	for i, status := range statuses {
		w.exec(fmt.Sprintf(`UPDATE users SET status = '%s'
			WHERE CAST(substr(email, 4, 4) AS integer) %% %d = %d`, status, len(statuses), i))
	}
	w.exec(`UPDATE users SET activated_at = created_at WHERE status <> 'invited'`)
	return pairs
}

// settled waits until so many sign-ups are settled.
func (w *world) settled(count int) {
	w.t.Helper()
	await.Until(w.t, "the sign-ups are settled", func() error {
		if n := w.rows("signups WHERE settled_at IS NOT NULL"); n < count {
			return fmt.Errorf("%d of %d are", n, count)
		}
		return nil
	})
}

// inParallel does something so many times, a few at once.
func inParallel(times int, do func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range times {
		slots <- struct{}{}
		all.Go(func() {
			do(i)
			<-slots
		})
	}
	all.Wait()
}

// TestNobodyLearnsFromUsWhoIsRegistered compares the answers that a stranger
// gets for registered addresses and for others (user enumeration, CWE-204,
// ASVS 6.3.8). The clock is the test's, so that ages are the same for all.
func TestNobodyLearnsFromUsWhoIsRegistered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		count := 50
		if strings.HasPrefix(databaseURL, "sqlite:") {
			count = 10 // written in Go, it is very slow under the race detector
		}
		w := newWorld(t, options{databaseURL: databaseURL, queue: true})
		w.clock.stop()
		pairs := w.pairs(count)
		w.clock.advance(time.Hour)
		seen := make([]string, 2*count) // all that was answered for each address, in order
		receipts := make([]string, 2*count)
		checked, stranger := w.browser(), w.browser()
		// What is the same as an answer that was held against the contract need
		// not be held against it too.
		stranger.client.Transport = w.server.Client().Transport
		ask := func(what string, request func(b *browser, i int, address string) answer) {
			inParallel(2*count, func(i int) {
				address := pairs[i/2].unknown
				if i%2 == 1 {
					address = pairs[i/2].registered
				}
				b := stranger
				if i < 2 {
					b = checked
				}
				a := request(b, i, address)
				if receipts[i] == "" {
					receipts[i] = a.json("signup_id")
				}
				shown := strings.ReplaceAll(a.shown(receipts[i]), address, "ADDRESS")
				seen[i] += "\n--- " + what + "\n" + shown
			})
		}
		body := func(address string) string { return `{"email":"` + address + `","display_name":"Somebody"}` }
		keyed := func(i int) header { return key(fmt.Sprintf("key-%04d", i)) }

		ask("sign up", func(b *browser, i int, address string) answer { return b.post("/signup", body(address), keyed(i)) })
		ask("again", func(b *browser, i int, address string) answer { return b.post("/signup", body(address), keyed(i)) })
		ask("with another body", func(b *browser, i int, address string) answer { return b.post("/signup", email(address), keyed(i)) })
		ask("too early for the mail", func(b *browser, i int, _ string) answer { return b.post("/signup/"+receipts[i]+"/resend", "") })
		w.clock.advance(300 * time.Millisecond)
		w.settled(3 * count)
		age := 300 * time.Millisecond
		for _, next := range []int{300, 999, 1000, 1500, 4000, 60_000} {
			at := time.Duration(next) * time.Millisecond
			w.clock.advance(at - age)
			age = at
			ask("status after "+age.String(), func(b *browser, i int, _ string) answer { return b.get("/signup/" + receipts[i]) })
			if next == 1500 {
				ask("the mail too early", func(b *browser, i int, _ string) answer { return b.post("/signup/"+receipts[i]+"/resend", "") })
			}
		}
		ask("the mail", func(b *browser, i int, _ string) answer { return b.post("/signup/"+receipts[i]+"/resend", "") })
		ask("the mail again", func(b *browser, i int, _ string) answer { return b.post("/signup/"+receipts[i]+"/resend", "") })
		await.Until(t, "the mails are sent", func() error {
			if n := w.rows("river_job WHERE kind = 'resend' AND state <> 'completed'"); n > 0 {
				return fmt.Errorf("%d are not", n)
			}
			return nil
		})
		ask("status at last", func(b *browser, i int, _ string) answer { return b.get("/signup/" + receipts[i]) })
		for i := range seen {
			if seen[i] != seen[0] {
				t.Fatalf("%s was answered with\n%s\nand %s with\n%s", pairs[0].unknown, seen[0], pairs[i/2], seen[i])
			}
		}
		for _, want := range []string{`"received"`, `"invited"`, "\n202\n", "\n409\n", "\n422\n", "\n429\n"} {
			if !strings.Contains(seen[0], want) {
				t.Errorf("no answer had %s, so little was compared:\n%s", want, seen[0])
			}
		}
		if n := w.rows("users"); n != 2*count {
			t.Errorf("%d users", n)
		}
	})
}
