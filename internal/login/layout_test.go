package login

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
	"time"
)

var began = time.Unix(1_800_000_000, 0).UTC()

// flows are one of each kind, by what is special about them.
func flows() map[string]*flow {
	all := map[string]*flow{}
	for name, change := range map[string]func(*flow){
		"only what must be":                 func(*flow) {},
		"a return target and a session":     func(f *flow) { f.returnTo, f.replaces = "/home", []byte{0, 1, 2} },
		"a max_age of nothing":              func(f *flow) { f.fresh = freshness{limited: true, sent: true} },
		"a max_age that was not sent":       func(f *flow) { f.fresh = freshness{limited: true, maxAge: time.Hour} },
		"the longest max_age":               func(f *flow) { f.fresh = freshness{limited: true, sent: true, maxAge: maxMaxAge * time.Second} },
		"a login that was asked for":        func(f *flow) { f.fresh = freshness{login: true} },
		"an app":                            func(f *flow) { f.app = App{RedirectURI: "app:/", CodeChallenge: "c", State: "s"} },
		"an app without a state, and fresh": func(f *flow) { f.app, f.fresh.login = App{RedirectURI: "app:/", CodeChallenge: "c"}, true },
	} {
		all[name] = newFlow("https://op.example", began, time.Minute)
		change(all[name])
	}
	return all
}

func FuzzUnmarshalFlow(f *testing.F) {
	for _, whole := range flows() {
		f.Add(whole.marshal())
	}
	f.Add(newFlow("", time.Unix(0, 0).UTC(), 0).marshal())
	f.Add(newFlow("https://op.example", began, time.Minute).marshal()[:50])
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
	for name, f := range flows() {
		read, err := unmarshalFlow(f.marshal())
		if err != nil || !reflect.DeepEqual(read, f) {
			t.Errorf("%s: %+v, %v", name, read, err)
		}
	}
}

func TestEveryCutOfAFlowIsRefused(t *testing.T) {
	for name, f := range flows() {
		raw := f.marshal()
		for n := range raw {
			if _, err := unmarshalFlow(raw[:n]); err == nil {
				t.Errorf("%s: %d bytes of %d were read", name, n, len(raw))
			}
		}
		if _, err := unmarshalFlow(append(raw, 0)); err == nil {
			t.Errorf("%s: a byte too many was read", name)
		}
		for _, layout := range []byte{0, layoutExtended + 1, 0xff} {
			if _, err := unmarshalFlow(append([]byte{layout}, raw[1:]...)); err == nil {
				t.Errorf("%s: layout %d was read", name, layout)
			}
		}
	}
}

func TestAnExtensionHasOneSpelling(t *testing.T) {
	plain := newFlow("https://op.example", began, time.Minute).marshal()
	plain[0] = layoutExtended
	empty := []byte{0, 0, 0, 0, 0, 0}
	for name, extension := range map[string][]byte{
		"with nothing in it":                 append([]byte{0, 0, 0, 0, 0}, empty...),
		"with a flag of a release to come":   append([]byte{flagsKnown + 1, 0, 0, 0, 0}, empty...),
		"with an age that holds for nothing": append([]byte{flagLogin, 0, 0, 0, 1}, empty...),
		"with a max_age sent, and none":      append([]byte{flagMaxAgeSent, 0, 0, 0, 0}, empty...),
		"that is missing":                    nil,
	} {
		if f, err := unmarshalFlow(append(bytes.Clone(plain), extension...)); err == nil {
			t.Errorf("an extension %s was read: %+v", name, f)
		}
	}
}

// TestAFlowIsWrittenAsTheReleaseBeforeWroteIt is what lets replicas of two
// releases finish each other's flows.
func TestAFlowIsWrittenAsTheReleaseBeforeWroteIt(t *testing.T) {
	f := newFlow("https://op.example", began, time.Minute)
	f.returnTo, f.replaces = "/home", []byte("old")
	want := []byte{1}
	for _, secret := range [][secretSize]byte{f.state, f.nonce, f.verifier} {
		want = append(want, secret[:]...)
	}
	want = binary.BigEndian.AppendUint64(want, 1_800_000_000_000)
	want = binary.BigEndian.AppendUint64(want, 1_800_000_060_000)
	want = append(want, "\x00\x12https://op.example\x00\x05/home\x00\x03old"...)
	if got := f.marshal(); !bytes.Equal(got, want) {
		t.Errorf("a plain flow is written as %x, want %x", got, want)
	}
	if read, err := unmarshalFlow(want); err != nil || !reflect.DeepEqual(read, f) {
		t.Errorf("it is read as %+v, %v", read, err)
	}
}

// TestEveryFlowWithinBoundsFitsACookie counts before sealing; the cookie's name
// and attributes have some 150 bytes.
func TestEveryFlowWithinBoundsFitsACookie(t *testing.T) {
	issuer := strings.Repeat("i", maxIssuer)
	fresh := freshness{limited: true, sent: true, login: true, maxAge: maxMaxAge * time.Second}
	replaces := bytes.Repeat([]byte{0xff}, maxReplaces)
	for name, f := range map[string]*flow{
		"browser": {issuer: issuer, returnTo: strings.Repeat("/", maxReturnTo), replaces: replaces, fresh: fresh},
		"system": {issuer: issuer, replaces: replaces, fresh: fresh, app: App{
			RedirectURI: strings.Repeat("/", maxAppRedirect), CodeChallenge: strings.Repeat("c", 43), State: strings.Repeat("s", maxAppState),
		}},
	} {
		const sealing = 1 + 4 + 12 + 16
		if sealed := (len(f.marshal()) + sealing + 2) / 3 * 4; sealed > 3600 {
			t.Errorf("the longest %s flow has %d bytes sealed", name, sealed)
		}
	}
}
