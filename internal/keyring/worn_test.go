package keyring

import (
	"crypto/rand"
	"encoding/base64"
	"testing"
)

func fresh(t *testing.T) string {
	t.Helper()
	raw := make([]byte, keySize)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func ringOf(t *testing.T, text string) *Ring {
	t.Helper()
	ring, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestASVS_11_3_4_AKeyIsWornLongBeforeItsNoncesRepeat(t *testing.T) {
	old, next := fresh(t), fresh(t)
	ring := ringOf(t, old)
	(*ring.keys.Load())[0].seals.Store(maxSeals - 2)
	ring.Seal("p", nil)
	if ring.Worn() {
		t.Fatal("the key is worn too early")
	}
	ring.Seal("p", nil)
	if !ring.Worn() {
		t.Fatal("the key is never worn")
	}
	ring.Replace(ringOf(t, old))
	if !ring.Worn() {
		t.Error("reading the same key again makes it young")
	}
	ring.Replace(ringOf(t, next+","+old))
	if ring.Worn() {
		t.Error("a new key in front is worn already")
	}
	ring.Replace(ringOf(t, old+","+next))
	if !ring.Worn() {
		t.Error("a key that goes back to the front is young again")
	}
}
