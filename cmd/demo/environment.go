package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// environment is the process's, as "NAME=value".
type environment []string

func (e environment) get(name string) string {
	for _, pair := range e {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// Resolve lets PORTICO_SIM_ variables stand for the simulator's flags.
func (e environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	name := "PORTICO_SIM_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
	if value := e.get(name); value != "" {
		return value, nil
	}
	return nil, nil //nolint:nilnil // kong's way to say that there is no value
}

// Validate has nothing to add.
func (environment) Validate(*kong.Application) error { return nil }

// with returns the settings, each unless the environment has another.
func (e environment) with(settings ...string) []string {
	environ := settings
	for _, pair := range e {
		if strings.HasPrefix(pair, "PORTICO_") {
			environ = append(environ, pair) // the last one counts
		}
	}
	return environ
}
