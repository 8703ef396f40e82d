package program

import (
	"fmt"

	"github.com/portico-id/portico/internal/admintoken"
)

type adminTokenCmd struct {
	New adminTokenNewCmd `cmd:"" help:"Make a new token, and its entry for PORTICO_ADMIN_TOKENS."`
}

type adminTokenNewCmd struct {
	Name  string   `help:"Who or what will hold it: it is in the log and in the audit. a-z, 0-9 and hyphens." required:"" placeholder:"NAME"`
	Scope []string `help:"What it is good for, each by itself: users:read, users:write, sessions:write, audit:read, webhooks:read, webhooks:write." required:"" placeholder:"SCOPE"`
}

// Run makes a token. Standard output gets the token and its entry, a line
// each, so that a script can take either.
func (cmd adminTokenNewCmd) Run(out streams) error {
	scopes := make([]admintoken.Scope, len(cmd.Scope))
	for i, name := range cmd.Scope {
		scopes[i] = admintoken.Scope(name)
	}
	token, entry, err := admintoken.New(cmd.Name, scopes)
	if err != nil {
		return &UsageError{err}
	}
	if _, err := fmt.Fprintf(out.stdout, "%s\n%s\n", token.Reveal(), entry); err != nil {
		return err
	}
	_, err = fmt.Fprint(out.stderr, "The first line is the token, for who will use it: nothing can show it again. "+
		"The second goes into PORTICO_ADMIN_TOKENS, behind a semicolon.\n")
	return err
}
