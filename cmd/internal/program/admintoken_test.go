package program

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/admintoken"
	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/login"
)

func TestAdminTokenNewMakesATokenAndItsEntry(t *testing.T) {
	t.Parallel()
	w := &world{t: t, settings: map[string]string{}}
	made, said, err := w.commands("admin-token", "new", "--name", "on-call", "--scope", "users:read", "--scope", "users:write")
	token, entry, _ := strings.Cut(strings.TrimSuffix(made, "\n"), "\n")
	if err != nil || strings.Contains(said, token) {
		t.Fatalf("%v: it says %s", err, said)
	}
	good, err := admintoken.Parse(entry)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := good.Find(token)
	if err != nil || holder.Name != "on-call" || !holder.May(admintoken.UsersWrite) || holder.May(admintoken.AuditRead) {
		t.Errorf("the token is %+v: %v", holder, err)
	}
	for name, args := range map[string][]string{
		"no name":             {"--scope", "users:read"},
		"no scope":            {"--name", "ops"},
		"an unknown scope":    {"--name", "ops", "--scope", "users:all"},
		"a name that is none": {"--name", "On Call", "--scope", "users:read"},
	} {
		stdout, _, err := w.commands(append([]string{"admin-token", "new"}, args...)...)
		var usage *UsageError
		if !errors.As(err, &usage) || stdout != "" {
			t.Errorf("%s: %v, %s", name, err, stdout)
		}
	}
}

func TestASVS_13_3_4_AnAdministratorsTokenIsGivenAndTakenBackWithoutARestart(t *testing.T) {
	t.Parallel()
	first, firstEntry, err := admintoken.New("first", admintoken.Scopes())
	if err != nil {
		t.Fatal(err)
	}
	second, secondEntry, err := admintoken.New("second", admintoken.Scopes())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tokens")
		write(t, path, firstEntry)
		config := Config{
			Keys: Secret{value: newKey(t)}, OIDCClientAuth: login.AuthBasic, OIDCClientSecret: Secret{value: "canary-client-secret-9a8b"},
			AdminTokens: Secret{value: firstEntry, file: path},
		}
		live, err := newLiveSecrets(&config)
		if err != nil {
			t.Fatal(err)
		}
		log := new(await.Log)
		r := newReloader(config, live, nil, slog.New(slog.NewJSONHandler(log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		knows := func(token admintoken.Token, want bool) {
			t.Helper()
			if _, err := live.AdminTokens().Find(token.Reveal()); (err == nil) != want {
				t.Errorf("it is good: %t, not %t", err == nil, want)
			}
		}
		for _, now := range []struct {
			text          string
			first, second bool
		}{
			{firstEntry, true, false},
			{firstEntry + ";\n" + secondEntry, true, true},
			{firstEntry + ";" + second.Reveal(), true, true}, // a token in place of an entry
			{"", true, true},                                 // a file that is being written
			{secondEntry, false, true},
		} {
			write(t, path, now.text)
			<-time.After(3 * reloadEvery)
			synctest.Wait()
			knows(first, now.first)
			knows(second, now.second)
		}
		cancel()
		running.Wait()
		for _, said := range []string{`"ids":["first","second"]`, `"ids":["second"]`, "entry 2 of 2 has a token in it"} {
			if !strings.Contains(log.String(), said) {
				t.Errorf("the log does not say %s: %s", said, log)
			}
		}
		if strings.Contains(log.String(), "pta_") || strings.Contains(log.String(), "sha256:") {
			t.Errorf("the log has a token: %s", log)
		}
	})
}

func TestAdminTokensThatAreNoneStopTheStart(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"canary-password", "ops users:read canary-token", "ops users:read sha256:" + strings.Repeat("0", 64)} {
		settings := complete()
		settings["PORTICO_ADMIN_TOKENS"] = text
		_, _, err := readConfig(t, settings)
		if err == nil || !strings.HasPrefix(err.Error(), "PORTICO_ADMIN_TOKENS holds unusable admin tokens: entry 1 of 1") ||
			strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
