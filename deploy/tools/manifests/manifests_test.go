package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const folder = "../../kubernetes"

// built are the objects of a kustomization, as YAML.
func built(t *testing.T, name string) string {
	t.Helper()
	out, err := Build(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestTheKustomizationsAreWhatTheAPITakes(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][]string{
		".":       {"Namespace", "ServiceAccount", "ConfigMap", "Service", "Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy"},
		"migrate": {"Job"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, err := Decode([]byte(built(t, name)))
			if err != nil {
				t.Fatal(err)
			}
			for _, complaint := range Sense(objects) {
				t.Error(complaint)
			}
			count := make(map[string]int)
			for _, kind := range kinds {
				count[kind]++
			}
			for _, object := range objects {
				count[kindOf(object)]--
			}
			for kind, n := range count {
				if n != 0 {
					t.Errorf("of %s there are %d too few", kind, n)
				}
			}
		})
	}
}

func kindOf(object runtime.Object) string { return object.GetObjectKind().GroupVersionKind().Kind }

func TestTheExamplesAreWhatTheAPITakesAndHoldNoSecret(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(folder, "examples", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := Decode(raw)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, object := range objects {
			secret, is := object.(*corev1.Secret)
			if !is {
				continue
			}
			for name, value := range secret.StringData {
				if !strings.HasPrefix(value, "<") { // with which serve does not start
					t.Errorf("%s: %s is more than a place for a secret", file, name)
				}
			}
			if len(secret.StringData) == 0 || len(secret.Data) > 0 {
				t.Errorf("%s: %s has other data", file, secret.Name)
			}
		}
	}
}

// What is not found here would be found when it is too late.
func TestWhatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, want string }{
		"a misspelt field":            {"maxUnavailable: 0", "maxUnavailabel: 0", "unknown field"},
		"a field that is there twice": {"  replicas: 2", "  replicas: 2\n  replicas: 3", "already set"},
		"a wrong type":                {"replicas: 2", "replicas: two", "cannot unmarshal string"},
		"a quantity that is none":     {"memory: 256Mi", "memory: 256Megabytes", "quantities must match"},
		"an unknown kind":             {"kind: Deployment", "kind: Deploiement", "no kind"},
		"an unknown version":          {"apiVersion: apps/v1", "apiVersion: apps/v2", "no kind"},

		"a service that leads nowhere":        {"targetPort: http", "targetPort: htp", "leads nowhere"},
		"a probe at a port that is not there": {"port: ops\n          periodSeconds: 5", "port: op\n          periodSeconds: 5", "no readiness probe"},
		"a selector of nobody": {
			"podSelector:\n    matchLabels:\n      app.kubernetes.io/component: serve",
			"podSelector:\n    matchLabels:\n      app.kubernetes.io/component: server", "selects nobody",
		},
		"a settings map that is not there":    {"configMapRef:\n            name: portico", "configMapRef:\n            name: other", "no ConfigMap"},
		"a volume that is not there":          {"volumes:\n      - name: secrets", "volumes:\n      - name: secret", "no volume secrets"},
		"root":                                {"runAsNonRoot: true", "runAsNonRoot: false", "may run as root"},
		"a root that can be written to":       {"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "not hardened"},
		"settings that the cluster adds":      {"enableServiceLinks: false", "enableServiceLinks: true", "does not start"},
		"a token for the cluster":             {"      automountServiceAccountToken: false", "      automountServiceAccountToken: true", "holds a token"},
		"replicas that go before others come": {"maxUnavailable: 0", "maxUnavailable: 1", "takes replicas away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right := built(t, ".")
			wrong := strings.Replace(right, c.from, c.to, 1)
			if wrong == right {
				t.Fatalf("there is no %q\n%s", c.from, right)
			}
			objects, err := Decode([]byte(wrong))
			said := strings.Join(Sense(objects), "\n")
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, c.want) {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// TestTheReplicasHaveTheTimeThatTheyNeed holds the grace against what serve
// takes at most: its two drains, and those jobs that are cut off.
func TestTheReplicasHaveTheTimeThatTheyNeed(t *testing.T) {
	t.Parallel()
	serve, err := os.ReadFile("../../../cmd/internal/program/serve.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(serve), "drain = 20 * time.Second") {
		t.Fatal("serve drains for another time: change terminationGracePeriodSeconds, TimeoutStopSec and stop_grace_period")
	}
	out := built(t, ".")
	for _, want := range []string{"terminationGracePeriodSeconds: 60", "sleep:\n              seconds: 10"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q", want)
		}
	}
}
