package session_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

var (
	mutations = flag.Int("mutations", 4000, "how many mutations of a valid token to try")
	planted   = flag.Uint64("mutations.seed", 0, "seed of the mutations; 0 takes one from the clock")
)

// mutator changes valid tokens into texts that are none.
type mutator struct{ *rand.Rand } //nolint:forbidigo // chance that can be replayed, not a secret

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (m mutator) letter() string { return string(alphabet[m.IntN(len(alphabet))]) }

// of returns the text as somebody might cut, stretch, retype or re-encode it.
func (m mutator) of(text string) string {
	for {
		if changed := m.once(text); changed != text {
			return changed
		}
	}
}

func (m mutator) once(text string) string {
	at, until := m.IntN(len(text)), m.IntN(len(text)+1)
	if at > until {
		at, until = until, at
	}
	prefix, plain := "", text
	if rest, ok := strings.CutPrefix(text, "pts_"); ok {
		prefix, plain = "pts_", rest
	}
	raw, _ := base64.RawURLEncoding.DecodeString(plain)
	switch m.IntN(12) {
	case 0: // truncated
		return [...]string{text[:at], text[until:], text[:at] + text[until:], text[:len(text)-1]}[m.IntN(4)]
	case 1: // lengthened
		return text[:at] + strings.Repeat(m.letter(), 1+m.IntN(5)) + text[at:]
	case 2: // one letter in another case
		return text[:at] + swapCase(text[at:min(at+1, len(text))]) + text[min(at+1, len(text)):]
	case 3: // a part in another case
		part := [...]string{swapCase(text[at:until]), strings.ToLower(text[at:until]), strings.ToUpper(text[at:until])}[m.IntN(3)]
		return text[:at] + part + text[until:]
	case 4: // one letter retyped
		return text[:at] + m.letter() + text[min(at+1, len(text)):]
	case 5: // two letters in each other's place
		other := []byte(text)
		i, j := m.IntN(len(other)), m.IntN(len(other))
		other[i], other[j] = other[j], other[i]
		return string(other)
	case 6: // one bit of what it says
		raw[m.IntN(len(raw))] ^= 1 << m.IntN(8)
		return prefix + base64.RawURLEncoding.EncodeToString(raw)
	case 7: // another encoding of the same
		return prefix + [...]string{
			base64.URLEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
			hex.EncodeToString(raw), base32.StdEncoding.EncodeToString(raw), string(raw), base64.RawURLEncoding.EncodeToString([]byte(plain)),
			strings.Replace(plain, text[len(text)-1:], fmt.Sprintf("%%%02x", text[len(text)-1]), 1),
		}[m.IntN(8)]
	case 8: // the bits that say nothing
		last := strings.IndexByte(alphabet, plain[len(plain)-1])
		return prefix + plain[:len(plain)-1] + string(alphabet[last&^3|m.IntN(4)])
	case 9: // another prefix
		return [...]string{"", "pts_", "ptc_", "PTS_", "pts", "pts-", "pts_pts_", "Bearer ", "Bearer pts_"}[m.IntN(9)] + plain
	case 10: // something between or around
		piece := [...]string{" ", "\t", "\n", "\r\n", "\x00", "=", ".", ",", ";", `"`, "'", "%", "+", "/", "\u200b", "\ufeff", "é", "\xff"}[m.IntN(18)]
		return text[:at] + piece + text[at:]
	default: // any byte in one's place
		return text[:at] + string([]byte{byte(m.Uint32())}) + text[min(at+1, len(text)):]
	}
}

func swapCase(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, text)
}

func TestNoMutationOfAValidTokenOpensASession(t *testing.T) {
	t.Parallel()
	seed := *planted
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		valid := []session.Opened{w.open(t, session.Browser), w.open(t, session.Native)}
		var left, asked atomic.Int64
		left.Store(int64(*mutations))
		begun := time.Now()
		var all sync.WaitGroup
		for worker := range uint64(16) {
			all.Go(func() {
				m := mutator{rand.New(rand.NewPCG(seed, worker))} //nolint:forbidigo // chance, no secret
				for left.Add(-1) >= 0 && !t.Failed() {
					text := m.of(valid[m.IntN(len(valid))].Token.Reveal())
					if tried(t, w, text) {
						asked.Add(1)
					}
				}
			})
		}
		all.Wait()
		t.Logf("%d mutations in %s with -mutations.seed %d, of which the database was asked for %d",
			*mutations, time.Since(begun).Round(time.Second), seed, asked.Load())
		for _, opened := range valid {
			w.recognised(t, opened.Token)
		}
	})
}

// tried presents the text as either kind of client, and reports whether it got
// as far as the database.
func tried(t *testing.T, w *world, text string) (asked bool) {
	t.Helper()
	for _, client := range []session.Client{session.Browser, session.Native} {
		token, err := session.ParseToken(client, text)
		if errors.Is(err, session.ErrToken) {
			continue
		}
		asked = true
		if err == nil {
			_, _, err = w.sessions.Recognise(t.Context(), token)
		}
		if !errors.Is(err, session.ErrUnknown) {
			t.Errorf("%q as a %s's: %v", text, client, err)
		}
	}
	return asked
}
