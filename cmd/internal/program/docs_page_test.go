package program

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

func TestTheContractIsServedWhereTheOperatorWantsIt(t *testing.T) {
	t.Parallel()
	for setting, status := range map[string]int{"": http.StatusNotFound, "false": http.StatusNotFound, "true": http.StatusOK} {
		t.Run("PORTICO_DOCS="+setting, func(t *testing.T) {
			t.Parallel()
			w := newKindWorld(t, storetest.SQLite(t))
			w.settings["PORTICO_DOCS"] = setting
			w.start()
			b := w.browser()
			for _, path := range []string{"/docs", "/openapi.yaml"} {
				a := b.do(http.MethodGet, w.public+path, "")
				if a.status != status {
					t.Errorf("%s answers %d", path, a.status)
				}
				if path == "/openapi.yaml" && status == http.StatusOK && !strings.Contains(a.body, "\nservers:\n  - url: \""+w.public+"\"\n") {
					t.Error("the contract does not say where it is served")
				}
			}
		})
	}
}
