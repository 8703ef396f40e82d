package program

import (
	"testing"
)

func TestTmp(t *testing.T) {
	t.Parallel()
	w := &world{t: t, settings: map[string]string{"PORTICO_DATABASE_URL": "sqlite:/tmp/imp/x.db"}}
	_, err := w.command("migrate", "up")
	t.Log(err)
	out, err := w.command("users", "import", "/tmp/imp/a.csv", "--dry-run")
	t.Log(out, err)
	out, err = w.command("users", "import", "/tmp/imp/a.csv", "--skip-invalid", "--rejects", "/tmp/imp/r.csv", "--no-wait")
	t.Log(out, err)
	out, err = w.command("users", "import", "/tmp/imp/r.csv", "--dry-run")
	t.Log(out, err)
	out, err = w.command("users", "imports")
	t.Log(out, err)
}
