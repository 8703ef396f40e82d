package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const composeFile = "../../../docker-compose.yml"

func composeText(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// secrets are what the file's head says to put into .env.
func secrets(t *testing.T) (environ []string) {
	t.Helper()
	head, _, _ := strings.Cut(composeText(t), "\nname:")
	for _, line := range strings.Split(head, "\n") {
		if _, assignment, ok := strings.Cut(line, `echo "`); ok {
			name, _, _ := strings.Cut(assignment, "=")
			environ = append(environ, name+"=5f2c")
		}
	}
	if len(environ) < 4 {
		t.Fatalf("the head of the file names %q", environ)
	}
	return environ
}

func TestTheComposeFileIsCleanInAllProfiles(t *testing.T) {
	t.Parallel()
	project, err := Compose(t.Context(), composeFile, secrets(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is published to %q", name, port.HostIP)
			}
		}
		for dependency := range service.DependsOn {
			if _, ok := project.Services[dependency]; !ok {
				t.Errorf("%s depends on %s, which there is not", name, dependency)
			}
		}
		for _, mount := range service.Volumes {
			if _, err := os.Stat(mount.Source); mount.Type == "bind" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	portico := project.Services["portico"]
	if !slices.Equal(portico.Command, []string{"serve"}) || portico.StopGracePeriod == nil || time.Duration(*portico.StopGracePeriod) < 50*time.Second {
		t.Errorf("portico runs %q and has %s to stop", portico.Command, portico.StopGracePeriod)
	}
}

func TestWhatIsWrongWithAComposeFileIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, want string }{
		"a misspelt field":         {"cap_drop:", "cap_dropped:", "cap_dropped"},
		"a wrong type":             {"read_only: true", "read_only: [true]", "read_only"},
		"an unknown service":       {"network_mode: service:simulator", "network_mode: service:simulater", "simulater"},
		"an unknown volume":        {"- postgres:/var", "- postgress:/var", "postgress"},
		"a secret that is missing": {"", "", "POSTGRES_PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := secrets(t)
			if c.from == "" {
				environ = nil
			}
			path := filepath.Join(t.TempDir(), "docker-compose.yml")
			if err := os.WriteFile(path, []byte(strings.Replace(composeText(t), c.from, c.to, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Compose(t.Context(), path, environ); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v", err)
			}
		})
	}
}
