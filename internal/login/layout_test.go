package login

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

func FuzzUnmarshalFlow(f *testing.F) {
	whole := newFlow("https://op.example", time.Unix(1_800_000_000, 0).UTC(), time.Minute)
	whole.returnTo, whole.replaces = "/home", []byte("old")
	f.Add(whole.marshal())
	f.Add(newFlow("", time.Unix(0, 0).UTC(), 0).marshal())
	f.Add(whole.marshal()[:50])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		read, err := unmarshalFlow(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(read.marshal(), raw) {
			t.Errorf("a second spelling of a flow was read: %x", raw)
		}
	})
}

func TestAFlowSurvivesItsLayout(t *testing.T) {
	for name, change := range map[string]func(*flow){
		"everything there":  func(f *flow) { f.returnTo, f.replaces = "/home", []byte{0, 1, 2} },
		"only what must be": func(*flow) {},
	} {
		f := newFlow("https://op.example", time.Unix(1_800_000_000, 0).UTC(), time.Minute)
		change(f)
		read, err := unmarshalFlow(f.marshal())
		if err != nil || !reflect.DeepEqual(read, f) {
			t.Errorf("%s: %+v, %v", name, read, err)
		}
	}
}

func TestEveryCutOfAFlowIsRefused(t *testing.T) {
	raw := newFlow("https://op.example", time.Now(), time.Minute).marshal()
	for n := range raw {
		if _, err := unmarshalFlow(raw[:n]); err == nil {
			t.Errorf("%d bytes of %d were read", n, len(raw))
		}
	}
	if _, err := unmarshalFlow(append(raw, 0)); err == nil {
		t.Error("a byte too many was read")
	}
	raw[0]++
	if _, err := unmarshalFlow(raw); err == nil {
		t.Error("another version was read")
	}
}
