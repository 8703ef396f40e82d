package keyring_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portico-id/portico/internal/keyring"
)

func TestASVS_11_2_2_ARingIsReplacedWhereItIsHeld(t *testing.T) {
	older, newer := randomKey(t), randomKey(t)
	held := parse(t, older)
	before := held.Seal("p", []byte("before"))

	held.Replace(parse(t, newer+","+older))
	if opened, err := held.Open("p", before); err != nil || string(opened) != "before" {
		t.Errorf("a text from before the rotation: %q, %v", opened, err)
	}
	after := held.Seal("p", []byte("after"))
	if _, err := parse(t, newer).Open("p", after); err != nil {
		t.Error("the ring still seals under its old key")
	}

	held.Replace(parse(t, newer))
	if _, err := held.Open("p", before); !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("a text under a dropped key: %v, want ErrSealed", err)
	}
	if opened, err := held.Open("p", after); err != nil || string(opened) != "after" {
		t.Errorf("a text under the key that stayed: %q, %v", opened, err)
	}
}

func TestASVS_11_2_2_AKeyThatIsAnnouncedFirstOpensOnEveryReplica(t *testing.T) {
	older, newer := randomKey(t), randomKey(t)
	first, second := parse(t, older), parse(t, older)
	// Replicas read a file at different times: at no step may one seal what
	// another cannot open.
	for _, step := range []string{older + "," + newer, newer + "," + older, newer} {
		for _, replica := range []*keyring.Ring{first, second} {
			sealedHere, sealedThere := first.Seal("p", nil), second.Seal("p", nil)
			replica.Replace(parse(t, step))
			if step == newer {
				continue // by now, all that was sealed under the older key has expired
			}
			for _, sealed := range []string{sealedHere, sealedThere, first.Seal("p", nil), second.Seal("p", nil)} {
				for _, opener := range []*keyring.Ring{first, second} {
					if _, err := opener.Open("p", sealed); err != nil {
						t.Fatalf("a text does not open on every replica: rings %v and %v", first.IDs(), second.IDs())
					}
				}
			}
		}
	}
	if want := parse(t, newer).IDs(); !slices.Equal(first.IDs(), want) || !slices.Equal(second.IDs(), want) {
		t.Errorf("the rotation ends with %v and %v", first.IDs(), second.IDs())
	}
}

func TestReplacingOneRingLeavesTheOtherAsItIs(t *testing.T) {
	one, two := parse(t, randomKey(t)), parse(t, randomKey(t))
	ids := two.IDs()
	one.Replace(two)
	one.Replace(parse(t, randomKey(t)))
	if !slices.Equal(two.IDs(), ids) || slices.Equal(one.IDs(), ids) {
		t.Errorf("ids are %v and %v", one.IDs(), two.IDs())
	}
}

func TestReplaceIsSafeWhileOthersSealAndOpen(t *testing.T) {
	older, newer := randomKey(t), randomKey(t)
	rings := []*keyring.Ring{parse(t, older+","+newer), parse(t, newer+","+older)}
	held := parse(t, older+","+newer)
	done := make(chan struct{})
	var workers, replacer sync.WaitGroup
	replacer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				held.Replace(rings[i%2])
			}
		}
	})
	for range 8 {
		workers.Go(func() {
			for range 2000 {
				opened, err := held.Open("p", held.Seal("p", []byte("x")))
				if err != nil || string(opened) != "x" || len(held.IDs()) != 2 || held.Worn() {
					t.Errorf("%q, %v", opened, err)
					return
				}
			}
		})
	}
	workers.Wait()
	close(done)
	replacer.Wait()
}

func TestIDsNameKeysAndNothingElse(t *testing.T) {
	first, second := randomKey(t), randomKey(t)
	ids := parse(t, first+","+second).IDs()
	if len(ids) != 2 || ids[0] == ids[1] {
		t.Fatalf("ids are %v", ids)
	}
	if again := parse(t, second+","+first).IDs(); again[0] != ids[1] || again[1] != ids[0] {
		t.Errorf("the same keys are %v and %v", ids, again)
	}
	for i, text := range []string{first, second} {
		if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(ids[i]) {
			t.Errorf("the id %q is not eight digits", ids[i])
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		id, err := hex.DecodeString(ids[i])
		if err != nil || bytes.Contains(raw, id) {
			t.Errorf("the id is a part of its key: %v", err)
		}
	}
}

// TestASVS_11_3_2_… opens a text with nothing but the standard library, as an
// auditor would who was given the key and the package's documentation.
func TestASVS_11_3_1_ASVS_11_3_2_ASealedTextIsAES256GCM(t *testing.T) {
	text := randomKey(t)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(parse(t, text).Seal("purpose", []byte("plain")))
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	bound := slices.Concat([]byte{0, 0, 0, 0, 0, 0, 0, 7}, []byte("purpose"), sealed[:17])
	opened, err := gcm.Open(nil, sealed[5:17], sealed[17:], bound)
	if err != nil || string(opened) != "plain" || len(raw)*8 != 256 {
		t.Errorf("%q, %v", opened, err)
	}
}

func TestASVS_11_2_1_TheCryptographyIsTheStandardLibrarys(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if strings.Contains(strings.SplitN(spec.Path.Value, "/", 2)[0], ".") {
				t.Errorf("%s imports %s", name, spec.Path.Value)
			}
		}
	}
}
