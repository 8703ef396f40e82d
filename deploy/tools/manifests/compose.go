package manifests

import (
	"context"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// Compose loads a Compose file as `docker compose --profile "*" config` does:
// an error says what the specification does not have, or what is not set.
func Compose(ctx context.Context, file string, environ []string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(environ), cli.WithProfiles([]string{"*"}), cli.WithName("portico"))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}
