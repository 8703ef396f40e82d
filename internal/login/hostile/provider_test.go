package hostile_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-id/portico/internal/login/hostile"
)

// TestItsSignaturesAndKeysAreWhatALibraryReads: an evil token must be refused
// for what is evil in it, and not because it could not be read.
func TestItsSignaturesAndKeysAreWhatALibraryReads(t *testing.T) {
	keys := hostile.TestKeys()
	for algorithm, key := range map[string]any{
		"RS256": keys.RSA, "RS384": keys.RSA, "RS512": keys.OtherRSA, "PS256": keys.RSA,
		"ES256": keys.P256, "ES384": keys.P384, "EdDSA": keys.Ed25519, "HS256": []byte(strings.Repeat("secret", 10)),
	} {
		token := hostile.Compact(t, []byte(`{"alg":"`+algorithm+`"}`), []byte(`{"a":1}`), hostile.Signing{Algorithm: algorithm, Key: key})
		published := key
		if signer, ok := key.(crypto.Signer); ok {
			published = signer.Public()
		}
		raw, err := json.Marshal(hostile.JWK("one", published))
		if err != nil {
			t.Fatal(err)
		}
		var jwk jose.JSONWebKey
		if err := json.Unmarshal(raw, &jwk); err != nil {
			t.Errorf("%s: the key cannot be read: %v", algorithm, err)
			continue
		}
		jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Errorf("%s: the token cannot be read: %v", algorithm, err)
			continue
		}
		if payload, err := jws.Verify(jwk.Key); err != nil || string(payload) != `{"a":1}` {
			t.Errorf("%s: the signature does not hold: %v", algorithm, err)
		}
	}
}

func TestAWalkThroughIt(t *testing.T) {
	p := hostile.New(t, time.Now)
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	verifier := strings.Repeat("v", 43)
	digest := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(digest[:])

	back := get(t, client, p.Issuer+hostile.PathAuthorize+"?"+url.Values{
		"redirect_uri": {hostile.RedirectURI}, "state": {"s"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode(), "")
	location, err := url.Parse(back.header.Get("Location"))
	if err != nil || location.Query().Get("state") != "s" || location.Query().Get("iss") != p.Issuer {
		t.Fatalf("sent back to %v, %v", location, err)
	}
	redeem := func() answer {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": location.Query()["code"],
			"redirect_uri": {hostile.RedirectURI}, "code_verifier": {verifier},
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer+hostile.PathToken, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(hostile.ClientID, url.QueryEscape(hostile.ClientSecret))
		return do(t, client, req)
	}
	first := redeem()
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(first.body, &tokens); err != nil || tokens.Access == "" {
		t.Fatalf("the token endpoint answers %d, %v", first.status, err)
	}
	if second := redeem(); second.status != http.StatusBadRequest {
		t.Errorf("the code is redeemed twice: %d", second.status)
	}
	if info := get(t, client, p.Issuer+hostile.PathUserInfo, "Bearer "+tokens.Access); info.status != http.StatusOK {
		t.Errorf("UserInfo answers %d", info.status)
	}
	if info := get(t, client, p.Issuer+hostile.PathUserInfo, "Bearer x"); info.status != http.StatusUnauthorized {
		t.Errorf("UserInfo answers %d to anybody", info.status)
	}
	if away := get(t, client, p.Issuer+hostile.PathAuthorize+"?redirect_uri=https://evil.example", ""); away.status != http.StatusBadRequest {
		t.Errorf("another redirect URI: %d", away.status)
	}
	if p.Count(hostile.PathToken) != 2 || p.Requests(hostile.PathToken)[0].Form.Get("code_verifier") != verifier {
		t.Errorf("recorded %+v", p.Requests(hostile.PathToken))
	}
}

func get(t *testing.T, client *http.Client, address, authorization string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return do(t, client, req)
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func do(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}
