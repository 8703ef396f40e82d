package program

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/portico-id/portico/internal/admintoken"
)

// named is how a setting is written, wherever it is.
var named = regexp.MustCompile(`\bPORTICO_[A-Z0-9_]+`)

// deployed are the files that deploy Portico, by their path.
func deployed(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{"docker-compose.yml": read(t, root+"docker-compose.yml")}
	err := filepath.WalkDir(root+"deploy", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry != nil && entry.Name() == "tools" {
				return fs.SkipDir // which looks after the others
			}
			return err
		}
		raw, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root)] = string(raw)
		return err
	})
	if err != nil || len(files) < 10 {
		t.Fatal(len(files), err)
	}
	return files
}

// ofCompose are variables of a file that is not for Portico.
func ofCompose(name string) bool {
	return strings.HasPrefix(name, "PORTICO_SIM_") || slices.Contains([]string{"PORTICO_OWNER_PASSWORD", "PORTICO_APP_PASSWORD"}, name)
}

func TestWhatDeploysPorticoSetsOnlySettings(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	for field := range reflect.TypeFor[Config]().Fields() {
		name := variable(flagName(field))
		known[name] = true
		if field.Type == reflect.TypeFor[Secret]() {
			known[name+fileSuffix] = true
		}
	}
	seen := 0
	for path, text := range deployed(t) {
		for _, name := range named.FindAllString(text, -1) {
			seen++
			if !known[name] && !ofCompose(name) && name != "PORTICO_PORT" { // what the cluster would set
				t.Errorf("%s names %s, which is no setting", path, name)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d were found: this looks in the wrong place", seen)
	}
}

// TestTheDeployedSettingsStart holds the settings of each way to deploy against
// what serve checks before it does anything.
func TestTheDeployedSettingsStart(t *testing.T) {
	t.Parallel()
	files := deployed(t)
	_, tokens, err := admintoken.New("on-call", admintoken.Scopes())
	if err != nil {
		t.Fatal(err)
	}
	for path, secrets := range map[string]string{
		"deploy/kubernetes/portico.env":      "deploy/kubernetes/deployment.yaml",
		"deploy/systemd/portico.env.example": "deploy/systemd/portico.service",
	} {
		environ := []string{}
		for line := range strings.Lines(files[path]) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				environ = append(environ, line)
			}
		}
		for _, name := range slices.Compact(sorted(named.FindAllString(files[secrets], -1))) {
			if base, is := strings.CutSuffix(name, fileSuffix); is {
				value := map[string]string{
					"PORTICO_DATABASE_URL": "postgres://127.0.0.1:1/none", "PORTICO_KEYS": testKey,
					"PORTICO_ADMIN_TOKENS": tokens,
				}[base]
				if value == "" {
					value = testToken
				}
				environ = append(environ, name+"="+written(t, base, value+"\n"))
			}
		}
		env, err := newEnvironment(environ)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var c cli
		parser, err := env.parser(&c, t.Output(), t.Output(), func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse([]string{"serve"}); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		env.files(&c.Serve.Config)
		p, err := c.Serve.Config.check()
		if err != nil || len(p.warnings) > 0 {
			t.Errorf("%s: %v %q", path, err, p.warnings)
		}
	}
}

func TestWhatDeploysPorticoRunsCommandsThatThereAre(t *testing.T) {
	t.Parallel()
	files := deployed(t)
	var commands [][]string
	for path, pattern := range map[string]string{
		"deploy/kubernetes/deployment.yaml":      `(?m)^ *args: \[(.*)\]$`,
		"deploy/kubernetes/migrate/job.yaml":     `(?m)^ *args: \[(.*)\]$`,
		"deploy/systemd/portico.service":         `(?m)^ExecStart=/usr/local/bin/portico (.*)$`,
		"deploy/systemd/portico-migrate.service": `(?m)^ExecStart=/usr/local/bin/portico (.*)$`,
		"deploy/Dockerfile":                      `(?m)^CMD \["(.*)"\]$`,
	} {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(files[path], -1)
		if len(found) != 1 {
			t.Errorf("%s runs %q", path, found)
			continue
		}
		commands = append(commands, strings.FieldsFunc(found[0][1], func(r rune) bool { return r == ',' || r == ' ' }))
	}
	var compose struct {
		Services map[string]struct {
			Command []string `yaml:"command"`
			Build   struct {
				Target string `yaml:"target"`
			} `yaml:"build"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal([]byte(files["docker-compose.yml"]), &compose); err != nil {
		t.Fatal(err)
	}
	for _, service := range compose.Services {
		if service.Build.Target == "portico" {
			commands = append(commands, service.Command)
		}
	}
	if len(commands) != 7 {
		t.Errorf("there are %d commands", len(commands))
	}
	commands = append(commands, []string{"serv"}) // which there is not
	for _, command := range commands {
		exited := false
		parser, err := environment{}.parser(new(cli), t.Output(), t.Output(), func(int) { exited = true })
		if err != nil {
			t.Fatal(err)
		}
		// With --help it runs nothing, and still has to know the command.
		if _, err := parser.Parse(append(command, "--help")); exited == (command[0] == "serv") {
			t.Errorf("portico %s: %v", strings.Join(command, " "), err)
		}
	}
}
