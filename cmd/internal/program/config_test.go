package program

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// complete are settings that serve would start with.
func complete() map[string]string {
	return map[string]string{
		"PORTICO_PUBLIC_URL":         "https://api.example.com",
		"PORTICO_DATABASE_URL":       "postgres://portico:canary-password@localhost/portico",
		"PORTICO_FRONTEND_ORIGINS":   "https://app.example.com",
		"PORTICO_BEYOND_API_TOKEN":   testToken,
		"PORTICO_OIDC_ISSUER":        "https://auth.byndid.com/v2",
		"PORTICO_OIDC_CLIENT_ID":     "portico",
		"PORTICO_OIDC_CLIENT_SECRET": "canary-client-secret-9a8b",
		"PORTICO_KEYS":               testKey,
	}
}

// readConfig reads settings as serve does, up to its checks.
func readConfig(t *testing.T, settings map[string]string, args ...string) (Config, plan, error) {
	t.Helper()
	var environ []string
	for name, value := range settings {
		environ = append(environ, name+"="+value)
	}
	env, err := newEnvironment(environ)
	if err != nil {
		return Config{}, plan{}, err
	}
	var config Config
	parser, err := env.parser(&config, t.Output(), t.Output(), func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		return Config{}, plan{}, err
	}
	env.files(&config)
	p, err := config.check()
	return config, p, err
}

func TestACompleteConfigurationIsAccepted(t *testing.T) {
	t.Parallel()
	config, p, err := readConfig(t, complete())
	if err != nil {
		t.Fatal(err)
	}
	if config.DefaultReturnTo != "https://app.example.com/" || config.BeyondLookup != "v2" || p.secrets == nil || len(p.warnings) != 0 {
		t.Errorf("%+v, %+v", config, p)
	}
	if _, _, err := readConfig(t, map[string]string{"PORTICO_RATE_LIMITS": "off", "PORTICO_DOCS": "false", "PORTICO_TEST_DATABASE_URL": "x"}); err == nil ||
		!strings.Contains(err.Error(), "PORTICO_PUBLIC_URL") {
		t.Errorf("settings of other parts are refused: %v", err)
	}
}

func TestAWrongSettingStopsTheStartWithItsName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"a misspelt variable":                          {map[string]string{"PORTICO_SESION_IDLE": "1h"}, "PORTICO_SESION_IDLE"},
		"a secret's file for what is no secret":        {map[string]string{"PORTICO_LISTEN_FILE": "/x"}, "PORTICO_LISTEN_FILE"},
		"a grace period without end":                   {map[string]string{"PORTICO_DELETE_GRACE": "2161h"}, "PORTICO_DELETE_GRACE"},
		"a grace period that is over before it begins": {map[string]string{"PORTICO_DELETE_GRACE": "-1s"}, "PORTICO_DELETE_GRACE"},
		"a redirect that no app can own": {map[string]string{
			"PORTICO_NATIVE_REDIRECT_URIS": "https://app.example.com/in,myapp:/in",
		}, `PORTICO_NATIVE_REDIRECT_URIS: not a redirect address of a native app: "myapp:/in"`},
		"BBA-01 a way to authenticate that is none": {map[string]string{
			"PORTICO_OIDC_CLIENT_AUTH": "none",
		}, "PORTICO_OIDC_CLIENT_AUTH must be basic, post or private_key_jwt"},
		"BBA-01 no key to authenticate with": {map[string]string{"PORTICO_OIDC_CLIENT_AUTH": "private_key_jwt"}, "PORTICO_OIDC_CLIENT_KEY is not set"},
		"BBA-01 what is no key": {map[string]string{
			"PORTICO_OIDC_CLIENT_AUTH": "private_key_jwt", "PORTICO_OIDC_CLIENT_KEY": "key",
		}, "PORTICO_OIDC_CLIENT_KEY"},
		"a word for logout tokens":           {map[string]string{"PORTICO_OIDC_BACKCHANNEL_LOGOUT": "on"}, "PORTICO_OIDC_BACKCHANNEL_LOGOUT"},
		"a login's age that ends it at once": {map[string]string{"PORTICO_SESSION_PROVIDER_AGE": "1s"}, "PORTICO_SESSION_PROVIDER_AGE"},
		"a recent login that never is":       {map[string]string{"PORTICO_SESSION_RECENT_LOGIN": "1s"}, "PORTICO_SESSION_RECENT_LOGIN"},
		"an audit of an hour":                {map[string]string{"PORTICO_AUDIT_RETENTION": "1h"}, "PORTICO_AUDIT_RETENTION"},
		"an audit of less than nothing":      {map[string]string{"PORTICO_AUDIT_RETENTION": "-24h"}, "PORTICO_AUDIT_RETENTION"},
		"an audit of a thousand years":       {map[string]string{"PORTICO_AUDIT_RETENTION": "2000000h"}, "PORTICO_AUDIT_RETENTION"},
		"fewer sessions than none":           {map[string]string{"PORTICO_SESSIONS_PER_USER": "-1"}, "PORTICO_SESSIONS_PER_USER"},
		"a mode that there is not":           {map[string]string{"PORTICO_SIGNUP_MODE": "sometimes"}, "PORTICO_SIGNUP_MODE"},
		"limits that do not read":            {map[string]string{"PORTICO_RATE_LIMITS": "client=many"}, "PORTICO_RATE_LIMITS"},
		"a pattern that is none":             {map[string]string{"PORTICO_EMAIL_BLOCK": "a@b@c"}, "PORTICO_EMAIL_BLOCK"},
		"a word for throw-away mailboxes":    {map[string]string{"PORTICO_EMAIL_DISPOSABLE": "maybe"}, "PORTICO_EMAIL_DISPOSABLE"},
		"a list that is not there":           {map[string]string{"PORTICO_EMAIL_DISPOSABLE_LIST": "/nowhere/list"}, "PORTICO_EMAIL_DISPOSABLE_LIST"},
		"a plus mode that there is not":      {map[string]string{"PORTICO_EMAIL_PLUS": "times"}, "PORTICO_EMAIL_PLUS"},
		"a challenge without its secret": {map[string]string{
			"PORTICO_CHALLENGE_URL": "https://challenge.example.com/siteverify",
		}, "PORTICO_CHALLENGE_SECRET"},
		"a challenge's secret without its URL": {map[string]string{"PORTICO_CHALLENGE_SECRET": "a-secret-of-its-own"}, "PORTICO_CHALLENGE_URL"},
		"ASVS-12.2.1 a challenge of plain http": {map[string]string{
			"PORTICO_CHALLENGE_URL": "http://challenge.example.com", "PORTICO_CHALLENGE_SECRET": "a-secret-of-its-own",
		}, "PORTICO_CHALLENGE_URL"},
		"a mail server that is none":  {map[string]string{"PORTICO_SMTP_URL": "mail.example.com"}, "PORTICO_SMTP_URL"},
		"a sender that is no address": {map[string]string{"PORTICO_SMTP_URL": "smtps://mail.example.com", "PORTICO_MAIL_FROM": "Nobody"}, "PORTICO_MAIL_FROM"},
		"templates that are not there": {map[string]string{
			"PORTICO_SMTP_URL": "smtps://mail.example.com", "PORTICO_MAIL_TEMPLATES": "/nowhere",
		}, "PORTICO_MAIL_TEMPLATES"},
		"a budget below nothing":                             {map[string]string{"PORTICO_BEYOND_RATE_PER_MINUTE": "-1"}, "PORTICO_BEYOND_RATE_PER_MINUTE"},
		"no public URL":                                      {map[string]string{"PORTICO_PUBLIC_URL": ""}, "PORTICO_PUBLIC_URL"},
		"a public URL with a path":                           {map[string]string{"PORTICO_PUBLIC_URL": "https://example.com/api"}, "PORTICO_PUBLIC_URL"},
		"BBA-08 S-17 ASVS-12.2.1 a public URL of plain http": {map[string]string{"PORTICO_PUBLIC_URL": "http://localhost:8080"}, "PORTICO_ALLOW_INSECURE_LOCALHOST"},
		"BBA-08 S-17 ASVS-12.2.1 plain http to another machine": {map[string]string{
			"PORTICO_PUBLIC_URL": "http://example.com", "PORTICO_ALLOW_INSECURE_LOCALHOST": "true",
		}, "PORTICO_PUBLIC_URL"},
		"insecure cookies on https":                 {map[string]string{"PORTICO_ALLOW_INSECURE_LOCALHOST": "true"}, "PORTICO_ALLOW_INSECURE_LOCALHOST"},
		"S-17 ASVS-12.2.1 a provider of plain http": {map[string]string{"PORTICO_OIDC_ISSUER": "http://auth.byndid.com/v2"}, "PORTICO_OIDC_ISSUER"},
		"ASVS-12.2.1 an API of plain http":          {map[string]string{"PORTICO_BEYOND_API_URL": "http://api.byndid.com"}, "PORTICO_BEYOND_API_URL"},
		"an issuer with credentials":                {map[string]string{"PORTICO_OIDC_ISSUER": "https://a:b@auth.byndid.com/v2"}, "PORTICO_OIDC_ISSUER"},
		"no front end":                              {map[string]string{"PORTICO_FRONTEND_ORIGINS": ""}, "PORTICO_FRONTEND_ORIGINS"},
		"any front end":                             {map[string]string{"PORTICO_FRONTEND_ORIGINS": "*"}, "PORTICO_FRONTEND_ORIGINS"},
		"an origin with a slash":                    {map[string]string{"PORTICO_FRONTEND_ORIGINS": "https://app.example.com/"}, "PORTICO_FRONTEND_ORIGINS"},
		"an origin in upper case":                   {map[string]string{"PORTICO_FRONTEND_ORIGINS": "https://App.example.com"}, "PORTICO_FRONTEND_ORIGINS"},
		"the origin null":                           {map[string]string{"PORTICO_FRONTEND_ORIGINS": "null"}, "PORTICO_FRONTEND_ORIGINS"},
		"a return target elsewhere":                 {map[string]string{"PORTICO_DEFAULT_RETURN_TO": "https://evil.example/"}, "PORTICO_DEFAULT_RETURN_TO"},
		"no database":                               {map[string]string{"PORTICO_DATABASE_URL": ""}, "PORTICO_DATABASE_URL"},
		"no token":                                  {map[string]string{"PORTICO_BEYOND_API_TOKEN": ""}, "PORTICO_BEYOND_API_TOKEN"},
		"ASVS-13.2.3 a default token":               {map[string]string{"PORTICO_BEYOND_API_TOKEN": "changeme-please"}, "PORTICO_BEYOND_API_TOKEN"},
		"two ways to authenticate to the API": {map[string]string{
			"PORTICO_BEYOND_CLIENT_ID": "portico", "PORTICO_BEYOND_CLIENT_SECRET": "a-secret-of-its-own",
		}, "PORTICO_BEYOND_API_TOKEN is set, and so is a client"},
		"a token, and half a client": {map[string]string{"PORTICO_BEYOND_CLIENT_ID": "portico"}, "PORTICO_BEYOND_API_TOKEN is set, and so is a client"},
		"no way to authenticate to the API": {
			map[string]string{"PORTICO_BEYOND_API_TOKEN": ""},
			"PORTICO_BEYOND_API_TOKEN is not set, nor are PORTICO_BEYOND_CLIENT_ID and PORTICO_BEYOND_CLIENT_SECRET",
		},
		"a client without its secret": {map[string]string{
			"PORTICO_BEYOND_API_TOKEN": "", "PORTICO_BEYOND_CLIENT_ID": "portico",
		}, "PORTICO_BEYOND_CLIENT_SECRET is not set"},
		"a client's secret without the client": {map[string]string{
			"PORTICO_BEYOND_API_TOKEN": "", "PORTICO_BEYOND_CLIENT_SECRET": "a-secret-of-its-own",
		}, "PORTICO_BEYOND_CLIENT_ID is not set, although PORTICO_BEYOND_CLIENT_SECRET is"},
		"ASVS-13.2.3 a client's secret that is a default": {map[string]string{
			"PORTICO_BEYOND_API_TOKEN": "", "PORTICO_BEYOND_CLIENT_ID": "portico", "PORTICO_BEYOND_CLIENT_SECRET": "changeme-please",
		}, "PORTICO_BEYOND_CLIENT_SECRET is a default"},
		"a client id with white space": {map[string]string{
			"PORTICO_BEYOND_API_TOKEN": "", "PORTICO_BEYOND_CLIENT_ID": "portico ", "PORTICO_BEYOND_CLIENT_SECRET": "a-secret-of-its-own",
		}, "PORTICO_BEYOND_CLIENT_ID has characters"},
		"BBA-01 no client secret":             {map[string]string{"PORTICO_OIDC_CLIENT_SECRET": ""}, "PORTICO_OIDC_CLIENT_SECRET is not set"},
		"BBA-01 ASVS-13.2.3 a short secret":   {map[string]string{"PORTICO_OIDC_CLIENT_SECRET": "short"}, "PORTICO_OIDC_CLIENT_SECRET"},
		"no keys":                             {map[string]string{"PORTICO_KEYS": ""}, "PORTICO_KEYS"},
		"ASVS-13.2.3 a key of zeros":          {map[string]string{"PORTICO_KEYS": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "PORTICO_KEYS"},
		"ASVS-13.2.3 a short key":             {map[string]string{"PORTICO_KEYS": "c2hvcnQ="}, "PORTICO_KEYS"},
		"an API that is not there yet":        {map[string]string{"PORTICO_BEYOND_API": "workforce-v2"}, "PORTICO_BEYOND_API"},
		"an unknown look-up":                  {map[string]string{"PORTICO_BEYOND_LOOKUP": "maybe"}, "PORTICO_BEYOND_LOOKUP"},
		"a proxy that is no network":          {map[string]string{"PORTICO_TRUSTED_PROXIES": "10.0.0.1"}, "PORTICO_TRUSTED_PROXIES"},
		"an absolute end before the idle one": {map[string]string{"PORTICO_SESSION_ABSOLUTE": "1m"}, "PORTICO_SESSION_ABSOLUTE"},
		"a negative quarantine":               {map[string]string{"PORTICO_BEYOND_QUARANTINE": "-1s"}, "PORTICO_BEYOND_QUARANTINE"},
		"a duration without unit":             {map[string]string{"PORTICO_SESSION_IDLE": "30"}, "session-idle"},
		"an unknown level":                    {map[string]string{"PORTICO_LOG_LEVEL": "loud"}, "PORTICO_LOG_LEVEL"},
		"an address without port":             {map[string]string{"PORTICO_LISTEN": "localhost"}, "PORTICO_LISTEN"},
		"a switch that is neither on nor off": {map[string]string{"PORTICO_DOCS": "maybe"}, "docs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := complete()
			maps.Copy(settings, c.set)
			_, _, err := readConfig(t, settings)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("the error is %v", err)
			}
			for _, secret := range []string{testToken, testKey, "canary-", "changeme-please"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds a secret: %v", err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %q", err)
			}
		})
	}
}

func TestASVS_13_3_1_ASVS_13_3_4_ASecretComesFromAFileAndIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-token-of-two\n")
	settings := complete()
	delete(settings, "PORTICO_BEYOND_API_TOKEN")
	settings["PORTICO_BEYOND_API_TOKEN_FILE"] = path
	config, _, err := readConfig(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	if got := config.BeyondAPIToken.Reveal(); got != "first-token-of-two" {
		t.Errorf("the token is %q", got)
	}
	write("second-token-of-two")
	if got, err := config.BeyondAPIToken.Current(); got != "second-token-of-two" || err != nil {
		t.Errorf("the token is %q, %v", got, err)
	}
	settings["PORTICO_BEYOND_API_TOKEN"] = testToken
	if _, _, err := readConfig(t, settings); err == nil || !strings.Contains(err.Error(), "both set") {
		t.Errorf("both are accepted: %v", err)
	}
	delete(settings, "PORTICO_BEYOND_API_TOKEN")
	settings["PORTICO_BEYOND_API_TOKEN_FILE"] = path + "-missing"
	if _, _, err := readConfig(t, settings); err == nil || !strings.Contains(err.Error(), "PORTICO_BEYOND_API_TOKEN_FILE") {
		t.Errorf("a missing file is %v", err)
	}
}

func TestAFlagWinsOverTheEnvironment(t *testing.T) {
	t.Parallel()
	settings := complete()
	settings["PORTICO_SESSION_IDLE"] = "10m"
	config, _, err := readConfig(t, settings, "--session-idle=20m")
	if err != nil || config.SessionIdle.String() != "20m0s" {
		t.Errorf("%v, %v", config.SessionIdle, err)
	}
}

func TestASVS_13_3_1_TheConfigurationIsLoggedWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	config, _, err := readConfig(t, complete())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("configuration", slog.Any("config", config))
	for _, secret := range []string{testToken, testKey, "canary-"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q: %s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), `"public-url":"https://api.example.com"`) || !strings.Contains(log.String(), `"keys":"[redacted]"`) {
		t.Errorf("the log is %s", log.String())
	}
}

func TestAFrontEndOfAnotherSiteIsWarnedOf(t *testing.T) {
	t.Parallel()
	settings := complete()
	settings["PORTICO_FRONTEND_ORIGINS"] = "https://app.example.com,https://example.net"
	_, p, err := readConfig(t, settings)
	if err != nil || len(p.warnings) != 1 || !strings.Contains(p.warnings[0], "example.net") {
		t.Errorf("%v, %v", p.warnings, err)
	}
}

func TestAWrongCommandLineIsAUsageError(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"unknown"}, {"serve", "--unknown"}, {"serve"}} {
		var usage *UsageError
		if err := Run(t.Context(), args, nil, t.Output(), t.Output()); !errors.As(err, &usage) {
			t.Errorf("%v: %v", args, err)
		}
	}
	if err := Run(t.Context(), []string{"--help"}, nil, t.Output(), t.Output()); err != nil {
		t.Errorf("--help: %v", err)
	}
}
