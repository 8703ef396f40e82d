package webhook_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/portico-id/portico/internal/webhook"
)

// headers are what a receiver gets with a signature.
func headers(message string, at time.Time, signature string) http.Header {
	h := http.Header{}
	h.Set("Webhook-Id", message)
	h.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("Webhook-Signature", signature)
	return h
}

func TestASymmetricSignatureIsWhatTheReferenceLibraryMakes(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret(webhook.Symmetric)
	reference, err := standardwebhooks.NewWebhook(secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	now, message, body := time.Now(), webhook.NewEventID().Message(), []byte(`{"type":"user.created"}`)
	want, err := reference.Sign(message, now, body)
	if err != nil {
		t.Fatal(err)
	}
	signature := secret.Sign(message, now, body)
	if signature != want {
		t.Errorf("the signature is %s, not %s", signature, want)
	}
	if err := reference.Verify(body, headers(message, now, signature)); err != nil {
		t.Error(err)
	}
	for name, h := range map[string]http.Header{
		"another id":   headers(webhook.NewEventID().Message(), now, signature),
		"another time": headers(message, now.Add(time.Second), signature),
	} {
		if reference.Verify(body, h) == nil {
			t.Errorf("it verifies with %s", name)
		}
	}
	if reference.Verify(append(body, ' '), headers(message, now, signature)) == nil {
		t.Error("it verifies another body")
	}
}

// The vectors of the project's own libraries: in Go's example of symmetric
// signatures, and in its tests of asymmetric ones.
func TestSignaturesAreThoseOfThePublishedVectors(t *testing.T) {
	t.Parallel()
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	for want, key := range map[string]struct {
		kind webhook.Kind
		text string
	}{
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=": {webhook.Symmetric, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		"v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==": {
			webhook.Asymmetric, "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
		},
	} {
		secret, err := webhook.ParseSecret(key.kind, key.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := secret.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body); got != want {
			t.Errorf("the signature is %s, not %s", got, want)
		}
	}
}

func TestAnAsymmetricSignatureVerifiesWithThePublicKeyAlone(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret(webhook.Asymmetric)
	encoded, ok := strings.CutPrefix(secret.PublicKey(), "whpk_")
	public, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		t.Fatal(secret.PublicKey(), err)
	}
	at := time.Unix(1614265330, 0)
	signature, ok := strings.CutPrefix(secret.Sign("msg_1", at, []byte("{}")), "v1a,")
	raw, err := base64.StdEncoding.DecodeString(signature)
	if !ok || err != nil {
		t.Fatal(signature, err)
	}
	if !ed25519.Verify(public, []byte("msg_1.1614265330.{}"), raw) {
		t.Error("it does not")
	}
	if webhook.NewSecret(webhook.Symmetric).PublicKey() != "" {
		t.Error("a shared secret has a public half")
	}
}

func TestSecretsThatPeopleBringAreReadStrictly(t *testing.T) {
	t.Parallel()
	encode := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	pair := ed25519.NewKeyFromSeed(make([]byte, 32))
	for name, c := range map[string]struct {
		kind webhook.Kind
		text string
		good bool
	}{
		"24 bytes":                            {webhook.Symmetric, "whsec_" + encode(24), true},
		"64 bytes":                            {webhook.Symmetric, "whsec_" + encode(64), true},
		"a seed":                              {webhook.Asymmetric, "whsk_" + encode(32), true},
		"a seed with its public half":         {webhook.Asymmetric, "whsk_" + base64.StdEncoding.EncodeToString(pair), true},
		"23 bytes":                            {webhook.Symmetric, "whsec_" + encode(23), false},
		"65 bytes":                            {webhook.Symmetric, "whsec_" + encode(65), false},
		"no prefix":                           {webhook.Symmetric, encode(32), false},
		"the prefix of the other kind":        {webhook.Symmetric, "whsk_" + encode(32), false},
		"a public key for a private one":      {webhook.Asymmetric, "whpk_" + encode(32), false},
		"a seed with another's public half":   {webhook.Asymmetric, "whsk_" + encode(64), false},
		"a line break within":                 {webhook.Symmetric, "whsec_" + encode(24)[:8] + "\n" + encode(24)[8:], false},
		"not base64":                          {webhook.Symmetric, "whsec_%%%%", false},
		"the other alphabet":                  {webhook.Symmetric, "whsec_" + strings.Repeat("_-", 16), false},
		"nothing":                             {webhook.Symmetric, "", false},
		"a shared secret for the wrong kind":  {webhook.Asymmetric, "whsec_" + encode(32), false},
		"a private key that is one byte long": {webhook.Asymmetric, "whsk_" + encode(1), false},
	} {
		secret, err := webhook.ParseSecret(c.kind, c.text)
		if c.good != (err == nil) || !c.good && !errors.Is(err, webhook.ErrSecret) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && c.text != "" && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: the error repeats it", name)
		}
		if again, err2 := webhook.ParseSecret(c.kind, secret.Reveal()); c.good && (err2 != nil || again.Reveal() != secret.Reveal()) {
			t.Errorf("%s: what is revealed is not what is read: %v", name, err2)
		}
	}
}

func TestASVS_16_2_5_ASecretShowsInNoFormat(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret(webhook.Symmetric)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if text := fmt.Sprintf(verb, secret); text != "[redacted]" {
			t.Errorf("%s shows %s", verb, text)
		}
	}
	if secret.LogValue().String() != "[redacted]" {
		t.Error("the log shows it")
	}
}
