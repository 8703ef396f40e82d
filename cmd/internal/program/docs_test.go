package program

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/mail"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/webhook"
	"github.com/portico-id/portico/internal/webhook/sender"
)

const (
	root     = "../../../"
	security = root + "SECURITY.md"
)

// What operators and developers are told is held against the code: a sentence
// that is not true any more is worse than none.

func TestBBA25_ASVS_3_5_4_AnAppHasAHostNameAndSoAnOriginToItself(t *testing.T) {
	t.Parallel()
	says(t, section(t, readme, "## From a browser"), "Give each app a host name of its own", "apart by origin and by nothing finer")
}

func TestS20_TheWayBehindTheProxyIsPlainHTTPAndHasToBePrivate(t *testing.T) {
	t.Parallel()
	says(t, section(t, readme, "## Operating it"), "The proxy ends TLS, and Portico speaks plain HTTP/1.1",
		"keep the way between the two private", "on one machine", "a network that nobody else is on", "in a tunnel")
	says(t, section(t, security, "## What is promised"), "TLS 1.2 or newer in front of Portico", "a private way from there to it")
}

func TestASVS_6_1_3_EachWayToSignInIsInTheREADME(t *testing.T) {
	t.Parallel()
	const way = "## Ways to sign in"
	var listed []string
	for _, row := range tableOf(t, section(t, readme, way)) {
		if row[3] == "" {
			t.Errorf("%s: nothing is demanded", row[0])
		}
		for _, cell := range []string{row[1], row[2]} {
			listed = append(listed, quotedIn(cell)...)
		}
	}
	want := signsIn(t)
	if got := sorted(listed); !slices.Equal(got, want) {
		t.Errorf("the README has %q, the contract %q", got, want)
	}
	says(t, section(t, readme, way), "There is no other: no password, no recovery, no account that is there from the start")
}

// signsIn are the operations of the contract by which somebody gets a session,
// or a flow that ends in one.
func signsIn(t *testing.T) []string {
	t.Helper()
	var contract struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	raw := read(t, root+"openapi.yaml")
	if err := yaml.Unmarshal([]byte(raw), &contract); err != nil {
		t.Fatal(err)
	}
	var all []string
	for path, operations := range contract.Paths {
		for method, node := range operations {
			var operation struct {
				Tags []string `yaml:"tags"`
			}
			if node.Kind != yaml.MappingNode { // what all of a path's operations share
				continue
			}
			if err := node.Decode(&operation); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(operation.Tags, "login") && !strings.Contains(path, "logout") {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	return sorted(all)
}

func TestHowSessionsEndIsInTheREADME(t *testing.T) {
	t.Parallel()
	sessions := section(t, readme, "## Sessions")
	t.Run("ASVS-7.1.1 by which settings, and that nothing extends the fixed ends", func(t *testing.T) {
		t.Parallel()
		says(t, sessions, "Until `PORTICO_SESSION_IDLE` without use", "or `PORTICO_SESSION_ABSOLUTE` after the login",
			"or `PORTICO_SESSION_PROVIDER_AGE` after the user last proved to the provider who they are", "Nothing extends the last two")
		for _, name := range []string{"PORTICO_SESSION_IDLE", "PORTICO_SESSION_ABSOLUTE", "PORTICO_SESSION_PROVIDER_AGE"} {
			hasDefault(t, name)
		}
	})
	t.Run("ASVS-7.1.2 how many a user has, and what one more does", func(t *testing.T) {
		t.Parallel()
		says(t, sessions, "A user has at most `PORTICO_SESSIONS_PER_USER`; one more ends the one that was not used for longest")
		hasDefault(t, "PORTICO_SESSIONS_PER_USER")
	})
	t.Run("ASVS-7.1.3 what ending ours does to the provider's, and ending theirs to ours", func(t *testing.T) {
		t.Parallel()
		says(t, sessions, "**Ours and the provider's** are two", "Ending ours leaves theirs", "the next login may pass without a question",
			"Ending theirs ends ours only by back-channel logout, or once `PORTICO_SESSION_PROVIDER_AGE` is over")
	})
}

func TestTheLimitsAreInTheREADME(t *testing.T) {
	t.Parallel()
	limits := rowsOf(t, section(t, readme, "### Limits"))
	server := newServer(nil, discard())
	by := ratelimit.DefaultLimits()
	times := func(l ratelimit.Limit, whose string) string {
		return fmt.Sprintf("%d in %s%s", l.Count, short(l.Per), whose)
	}
	t.Run("ASVS-2.1.3 each with its number, as the code has it, and what is beyond it", func(t *testing.T) {
		t.Parallel()
		for what, want := range map[string]string{
			"a request's header": fmt.Sprintf("%d KiB, within %s", server.MaxHeaderBytes>>10, inWords(server.ReadHeaderTimeout)),
			"a request's body": fmt.Sprintf("%d KiB, within %s of the request's begin",
				number(t, "api/decode.go", "maxBody")>>10, inWords(server.ReadTimeout)),
			"an answer":                       inWords(duration(t, "api/api.go", "answerLimit")) + " of work",
			"the enrolment mail again":        "once in " + short(resendAfter),
			"telling the owner of an address": "once in " + short(duration(t, "internal/provision/provision.go", "noticePause")),
			"a long poll": fmt.Sprintf("%s; %d at once on a replica",
				inWords(signup.LongestWait), number(t, "internal/signup/wait.go", "mostWaiting")),
			"sessions of a user": "`PORTICO_SESSIONS_PER_USER`",
			"logins under way in a browser": fmt.Sprintf("%d, for %s each",
				number(t, "api/cookies.go", "maxFlows"), short(duration(t, "internal/login/config.go", "defaultFlowTTL"))),
			"a native app's one-time code":    short(session.CodeTTL) + ", one attempt",
			"an idempotency key":              short(signup.KeyLife),
			"logins begun and codes redeemed": times(by.Login, " for a client"),
			"logout tokens":                   times(by.Logout, " for a sender"),
			"wishes for another address":      times(by.Email, " for a user") + ", " + times(by.Address, " for an address"),
			"the code that proves it": fmt.Sprintf("%s, %d tries, once",
				short(duration(t, "internal/account/email.go", "proofTime")), number(t, "internal/account/email.go", "maxTries")),
			"administrators' tokens that are none": times(by.Admin, " for a client"),
			"sign-ups": strings.Join([]string{
				times(by.Client, " for a client"), times(by.Address, " for an address"), times(by.Domain, " for a domain"), times(by.Global, " in all"),
			}, ", "),
		} {
			row, ok := limits[what]
			if !ok || !strings.HasPrefix(row[1], want) || row[2] == "" {
				t.Errorf("of %s it says %q, and in the code it is %q", what, row, want)
			}
			delete(limits, what)
		}
		for what := range limits {
			t.Errorf("nothing holds %q against the code", what)
		}
	})
	t.Run("ASVS-6.1.1 the limits on guessing are a setting, with its defaults", func(t *testing.T) {
		t.Parallel()
		row := hasDefault(t, "PORTICO_RATE_LIMITS")
		changed := by
		changed.Client.Count++ // so that it is written out
		all := strings.Replace(changed.String(), strconv.Itoa(changed.Client.Count)+"/", strconv.Itoa(by.Client.Count)+"/", 1)
		if row[1] != "`on`" || !strings.Contains(row[2], all) {
			t.Errorf("the README has %q, and the defaults are %s", row, all)
		}
	})
}

// webhookPeers are whom administrators name.
const webhookPeers = "webhooks: the addresses that administrators name, and no proxy"

func TestWhatPorticoTalksToIsInTheREADME(t *testing.T) {
	t.Parallel()
	text := section(t, readme, "### What it talks to")
	peers := rowsOf(t, text)
	t.Run("ASVS-13.1.1 everybody, and nobody else", func(t *testing.T) {
		t.Parallel()
		// Each setting that says where somebody is has a row.
		for setting, who := range map[string]string{
			"PORTICO_DATABASE_URL":   "the database",
			"PORTICO_OIDC_ISSUER":    "the provider: the issuer, and the endpoints that its metadata names",
			"PORTICO_BEYOND_API_URL": "Beyond Identity's API",
			"PORTICO_CHALLENGE_URL":  "the challenge's service",
			"PORTICO_SMTP_URL":       "the mail server",
		} {
			hasDefault(t, setting)
			if _, ok := peers[who]; !ok {
				t.Errorf("%s is not there", who)
			}
		}
		// … and each setting that holds a URL is one of those, or our own.
		for field := range reflect.TypeFor[Config]().Fields() {
			name := variable(flagName(field))
			known := []string{"PORTICO_DATABASE_URL", "PORTICO_BEYOND_API_URL", "PORTICO_CHALLENGE_URL", "PORTICO_SMTP_URL", "PORTICO_PUBLIC_URL"}
			if strings.HasSuffix(name, "_URL") && !slices.Contains(known, name) {
				t.Errorf("%s may be somebody whom nothing is said of", name)
			}
		}
		if _, ok := peers[webhookPeers]; !ok {
			t.Errorf("%s are not there", webhookPeers)
		}
		if len(peers) != 6 {
			t.Errorf("there are %d rows", len(peers))
		}
		says(t, text, "Portico talks to nobody else: no telemetry, no updates")
	})
	t.Run("ASVS-13.1.2 ASVS-13.2.6 how many connections each has, and what happens when none is free", func(t *testing.T) {
		t.Parallel()
		for who, want := range map[string]string{
			"the database": "4 a core and at least 8, requests and jobs together, or `pool_max_conns` of its URL; on SQLite 1",
			"the provider: the issuer, and the endpoints that its metadata names": "one a login under way; 64 are kept open",
			"Beyond Identity's API":   strconv.Itoa(callsAtOnce),
			"the challenge's service": strconv.FormatInt(number(t, "internal/challenge/config.go", "maxConns"), 10),
			"the mail server":         "one a mail",
			webhookPeers:              fmt.Sprintf("%d to each, %d in all", webhook.DefaultInFlight, number(t, "internal/queue/webhooks.go", "webhookWorkers")),
		} {
			if peers[who][2] != want || peers[who][4] == "" {
				t.Errorf("%s: it says %q, and it is %q", who, peers[who], want)
			}
		}
		for file, line := range map[string]string{
			"internal/store/db.go":        "config.MaxConns = int32(max(8, 4*runtime.GOMAXPROCS(0)))",
			"internal/login/transport.go": "MaxIdleConnsPerHost:    64,",
		} {
			if !strings.Contains(read(t, root+file), line) {
				t.Errorf("%s has no %q any more", file, line)
			}
		}
		says(t, peers["the database"][4], "waits within its time, then 503")
		says(t, peers["the challenge's service"][3], "the wait for a connection included")
		says(t, text, fmt.Sprintf("Jobs of sign-ups run %d at a time on a replica; the others wait in the database. "+
			"At most %d of them create a user", signupJobs, CreatesAtOnce))
	})
	t.Run("ASVS-13.1.3 ASVS-13.2.6 how long a call may take, and when it is tried again", func(t *testing.T) {
		t.Parallel()
		provision := "internal/provision/provision.go"
		provider := peers["the provider: the issuer, and the endpoints that its metadata names"]
		for what, has := range map[string]struct{ cell, want string }{
			"a call to the provider": {provider[3], inWords(callLimit)},
			"a revocation":           {provider[3], inWords(duration(t, "internal/login/revoke.go", "revocationLimit")) + " to give a token back"},
			"metadata": {provider[4], fmt.Sprintf("tried again after %s and up to %s",
				short(duration(t, "internal/login/discovery.go", "firstRetry")), inWords(duration(t, "internal/login/discovery.go", "lastRetry")))},
			"keys":    {provider[4], "keys for " + short(duration(t, "internal/login/keys.go", "keysStale"))},
			"codes":   {provider[4], "a code is never sent twice"},
			"the API": {peers["Beyond Identity's API"][3], inWords(callLimit)},
			"sign-ups": {peers["Beyond Identity's API"][4], fmt.Sprintf("from %s up to %s apart",
				short(duration(t, provision, "firstRetry")), short(duration(t, provision, "longestRetry")))},
			"challenge": {peers["the challenge's service"][3], inWords(challenge.DefaultTimeout)},
			"webhooks":  {peers[webhookPeers][3], inWords(sender.DefaultTimeout)},
			"a mail":    {peers["the mail server"][3], inWords(mail.DefaultTimeout) + ", and " + short(mailReplyLimit) + " for its reply"},
			"mails":     {peers["the mail server"][4], "tried again after " + inWords(duration(t, "internal/provision/notice.go", "mailRetry"))},
			"requests":  {peers["the database"][3], "the request's or job's"},
		} {
			if !strings.Contains(has.cell, has.want) {
				t.Errorf("%s: it says %q, and it is %q", what, has.cell, has.want)
			}
		}
		if callLimit > beyondidentity.DefaultTimeout {
			t.Error("the API is given longer than its client would give it")
		}
	})
}

func TestASVS_11_1_1_HowSecretsAreMadeReplacedAndThrownAwayIsInSECURITY(t *testing.T) {
	t.Parallel()
	rows := rowsOf(t, section(t, security, "## Keys"))
	for field := range reflect.TypeFor[Config]().Fields() {
		if field.Type != reflect.TypeFor[Secret]() {
			continue
		}
		name := variable(flagName(field))
		row, ok := rows["`"+name+"`"]
		if !ok || slices.Contains(row, "") {
			t.Errorf("%s is not there: %q", name, row)
			continue
		}
		// What opens connections is read once; the rest at each use, or when its file changes.
		want := "at once"
		if strings.HasSuffix(name, "_URL") {
			want = "by a restart"
		}
		if !strings.HasPrefix(row[2], want) {
			t.Errorf("%s is replaced %q, and the code replaces it %s", name, row[2], want)
		}
	}
	for _, what := range []string{"openssl rand -base64 32", "portico client-key new", "ten minutes later", "If a key has leaked, remove it at once"} {
		says(t, section(t, security, "## Keys"), what)
	}
	if ttl := duration(t, "internal/login/config.go", "defaultFlowTTL"); ttl != 10*time.Minute {
		t.Errorf("a flow can be opened for %s, and it says ten minutes", ttl)
	}
	var live []string
	config := Config{OIDCClientAuth: "basic"}
	for _, s := range new(liveSecrets).replaceable(&config) {
		live = append(live, s.setting)
	}
	for _, name := range live {
		if !strings.HasPrefix(rows["`"+name+"`"][2], "at once") {
			t.Errorf("%s is replaced without a restart, and it says %q", name, rows["`"+name+"`"])
		}
	}
	if len(live) < 2 {
		t.Errorf("only %q can be replaced: this looks in the wrong place", live)
	}
}

func TestASVS_14_2_4_WhatIsKeptOfWhomAndUntilWhenIsInSECURITY(t *testing.T) {
	t.Parallel()
	var placed []string
	for _, row := range tableOf(t, section(t, security, "## Data")) {
		if slices.Contains(row, "") {
			t.Errorf("%s: something is not said", row[0])
		}
		placed = append(placed, quotedIn(row[2])...)
	}
	tables := tablesOfTheSchema(t)
	for _, table := range tables {
		if !slices.Contains(placed, table) {
			t.Errorf("nothing is said of what %s holds", table)
		}
	}
	for _, table := range placed {
		if !slices.Contains(tables, table) && table != "river_job" {
			t.Errorf("there is no %s", table)
		}
	}
	if !strings.Contains(read(t, "wiring.go"), "PurgeExpired(ctx, now.Add(-24*time.Hour)") {
		t.Error("what has ended is not kept for a day any more")
	}
}

var tableMade = regexp.MustCompile(`(?m)^CREATE (?:UNLOGGED )?TABLE (\w+)`)

func tablesOfTheSchema(t *testing.T) (tables []string) {
	t.Helper()
	files, err := filepath.Glob(root + "internal/store/migrations/postgres/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for _, made := range tableMade.FindAllStringSubmatch(read(t, file), -1) {
			tables = append(tables, made[1])
		}
	}
	return tables
}
