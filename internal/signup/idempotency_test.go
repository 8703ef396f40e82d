package signup_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestARequestThatIsSentAgainGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		request := signup.Request{Email: "anna@example.com", IdempotencyKey: "k", Body: []byte("anna")}
		first, err := w.Accept(t.Context(), request)
		if err != nil || first.Replayed {
			t.Fatalf("%+v, %v", first, err)
		}
		want := first
		want.Replayed = true
		for _, age := range []time.Duration{0, time.Second, resendAfter, time.Hour, 24*time.Hour - time.Microsecond} {
			w.clock.set(moment.Add(age))
			if age == resendAfter { // what became of the sign-up meanwhile changes nothing
				w.settle(moment)
				w.exec(`UPDATE users SET status = 'active', internal_id = 'int', activated_at = $1`, rounded.Add(time.Second))
				w.exec(`UPDATE signups SET resend_after = $1`, rounded.Add(time.Hour))
			}
			if got, err := w.Accept(t.Context(), request); err != nil || got != want {
				t.Errorf("after %s: %+v, %v; not %+v", age, got, err, want)
			}
		}
		if n := w.rows(); n.signups != 1 || n.keys != 1 || n.jobs != 1 {
			t.Errorf("stored %+v", n)
		}
	})
}

func TestAKeyWithAnotherBodyIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		request := signup.Request{Email: "anna@example.com", IdempotencyKey: "k", Body: []byte("anna")}
		if _, err := w.Accept(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		for name, body := range map[string]string{"another": "bert", "longer": "anna ", "shorter": "ann", "none": ""} {
			// An address that is none is not even looked at.
			for _, address := range []string{"bert@example.com", "no address"} {
				got, err := w.Accept(t.Context(), signup.Request{Email: address, IdempotencyKey: "k", Body: []byte(body)})
				if !errors.Is(err, signup.ErrKeyReused) || got != (signup.Signup{}) {
					t.Errorf("%s body: %+v, %v", name, got, err)
				}
			}
		}
		for name, key := range map[string]string{"in capitals": "K", "with a space": "k ", "longer": "kk"} {
			request.IdempotencyKey = key
			if got, err := w.Accept(t.Context(), request); err != nil || got.Replayed {
				t.Errorf("the key %s is another: %+v, %v", name, got, err)
			}
		}
		if n := w.rows(); n.signups != 4 || n.keys != 4 || n.jobs != 4 {
			t.Errorf("stored %+v", n)
		}
	})
}

func TestAKeyThatHasExpiredCanBeUsedAnew(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		request := signup.Request{Email: "anna@example.com", IdempotencyKey: "k", Body: []byte("anna")}
		first, err := w.Accept(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		w.clock.advance(signup.KeyLife)
		request.Body = []byte("something else")
		second, err := w.Accept(t.Context(), request)
		if err != nil || second.Replayed || second.Receipt == first.Receipt {
			t.Errorf("the expired key yields %+v, %v", second, err)
		}
		third, err := w.Accept(t.Context(), request)
		if err != nil || !third.Replayed || third.Receipt != second.Receipt {
			t.Errorf("and then %+v, %v", third, err)
		}
		if n := w.rows(); n.signups != 2 || n.keys != 1 || n.jobs != 2 {
			t.Errorf("stored %+v", n)
		}
		if found, err := w.Status(t.Context(), first.Receipt); err != nil || found.Receipt != first.Receipt {
			t.Errorf("the first receipt is good for %+v, %v", found, err)
		}
	})
}

func TestOfFiftyRequestsWithOneKeyAtOnceOneIsAccepted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for round := range 4 {
			request := signup.Request{Email: "anna@example.com", IdempotencyKey: fmt.Sprint("k", round), Body: []byte("anna")}
			answers := concurrently(50, func() (signup.Signup, error) { return w.Accept(t.Context(), request) })
			receipts := make(map[signup.Receipt]bool)
			first := 0
			for _, a := range answers {
				switch {
				case a.err == nil:
					receipts[a.got.Receipt] = true
					if !a.got.Replayed {
						first++
					}
				case !errors.Is(a.err, signup.ErrKeyInUse):
					t.Error(a.err)
				}
			}
			if len(receipts) != 1 || first != 1 {
				t.Errorf("%d receipts, of which %d are not replayed", len(receipts), first)
			}
			if n := w.rows(); n.signups != round+1 || n.keys != round+1 || n.jobs != round+1 {
				t.Errorf("stored %+v", n)
			}
		}
	})
}

func TestOfFiftyRequestsWithOneKeyAndManyBodiesOneIsAccepted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		var mu sync.Mutex
		next := 0
		answers := concurrently(50, func() (signup.Signup, error) {
			mu.Lock()
			next++
			body := strconv.Itoa(next)
			mu.Unlock()
			return w.Accept(t.Context(), signup.Request{
				Email: "anna" + body + "@example.com", IdempotencyKey: "k", Body: []byte(body),
			})
		})
		accepted := 0
		for _, a := range answers {
			switch {
			case a.err == nil && !a.got.Replayed:
				accepted++
			case !errors.Is(a.err, signup.ErrKeyInUse) && !errors.Is(a.err, signup.ErrKeyReused):
				t.Errorf("%+v, %v", a.got, a.err)
			}
		}
		if n := w.rows(); accepted != 1 || n.signups != 1 || n.keys != 1 || n.jobs != 1 {
			t.Errorf("%d accepted, stored %+v", accepted, n)
		}
	})
}

// outcome is one of many answers.
type outcome struct {
	got signup.Signup
	err error
}

// concurrently asks so many times at once.
func concurrently(times int, ask func() (signup.Signup, error)) []outcome {
	outcomes := make([]outcome, times)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range outcomes {
		all.Go(func() {
			<-start
			outcomes[i].got, outcomes[i].err = ask()
		})
	}
	close(start)
	all.Wait()
	return outcomes
}

// TestTheDatabaseAloneDoesNotOpenTheStoredAnswer is what a thief of the
// database can do: hash, and try the hashes that are there.
func TestTheDatabaseAloneDoesNotOpenTheStoredAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		const key = "canary-key-7f1c"
		body := []byte(`{"email":"anna@example.com"}`)
		accepted, err := w.Accept(t.Context(), signup.Request{Email: "anna@example.com", IdempotencyKey: key, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		w.settle(moment)
		raw, err := base64.RawURLEncoding.DecodeString(string(accepted.Receipt))
		if err != nil {
			t.Fatal(err)
		}
		everything := w.dump()
		for name, canary := range map[string]string{
			"the receipt": string(accepted.Receipt), "its bytes": string(raw), "its hexadecimal": hex.EncodeToString(raw),
			"the key": key, "the key's hexadecimal": hex.EncodeToString([]byte(key)),
			"the body": string(body), "the body's hexadecimal": hex.EncodeToString(body),
		} {
			if strings.Contains(everything, canary) {
				t.Errorf("%s is stored", name)
			}
		}
		stored := keyOf(t, w.db)
		body32, key32 := sha256.Sum256(body), sha256.Sum256([]byte(key))
		for name, secret := range map[string][]byte{
			"the key's hash": stored.Hash[:], "the fingerprint": stored.Fingerprint[:], "nothing": make([]byte, 32),
			"the body's plain hash": body32[:], "the key's plain hash": key32[:],
		} {
			if _, err := open(secret, stored.Sealed, stored.Hash[:]); err == nil {
				t.Errorf("%s opens the answer", name)
			}
		}
		// A row whose parts come from two requests yields no answer either.
		w.exec(`UPDATE idempotency_keys SET sealed = $1`, append([]byte{stored.Sealed[0] ^ 1}, stored.Sealed[1:]...))
		got, err := w.Accept(t.Context(), signup.Request{Email: "anna@example.com", IdempotencyKey: key, Body: body})
		if err == nil || got != (signup.Signup{}) {
			t.Errorf("an answer that was tampered with: %+v, %v", got, err)
		}
	})
}

func open(secret, sealed, hash []byte) ([]byte, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return sealer.Open(nil, nil, sealed, hash)
}

func keyOf(t *testing.T, db *store.DB) signup.StoredKey {
	t.Helper()
	var hash, fingerprint, sealed []byte
	err := db.SQL().QueryRowContext(t.Context(), `SELECT key_hash, fingerprint, sealed FROM idempotency_keys`).
		Scan(&hash, &fingerprint, &sealed)
	if err != nil {
		t.Fatal(err)
	}
	return signup.StoredKey{Hash: signup.Hash(hash), Fingerprint: signup.Hash(fingerprint), Sealed: sealed}
}

func TestTwoSealedAnswersToOneRequestDiffer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		request := signup.Request{Email: "anna@example.com", IdempotencyKey: "k", Body: []byte("anna")}
		seen := make(map[string]bool)
		for range 3 {
			if _, err := w.Accept(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			seen[string(keyOf(t, w.db).Sealed[:12])] = true
			w.clock.advance(signup.KeyLife)
		}
		if len(seen) != 3 {
			t.Error("a nonce was used twice")
		}
	})
}
