package program

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
)

const (
	prefix     = "PORTICO_"
	fileSuffix = "_FILE"
)

// environment is the PORTICO_ part of the process's environment.
type environment map[string]string

// newEnvironment reads "NAME=value" pairs. It refuses what no setting has, so
// that a typing error does not run with a default: the whole point of a
// misspelt security setting is lost otherwise.
func newEnvironment(pairs []string) (environment, error) {
	env := make(environment)
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		// The test-suite and the simulator have variables of their own.
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, prefix+"TEST_") && !strings.HasPrefix(name, prefix+"SIM_") {
			env[name] = value
		}
	}
	known := make(map[string]bool) // whether the setting is a secret
	for field := range reflect.TypeFor[Config]().Fields() {
		known[variable(flagName(field))] = field.Type == reflect.TypeFor[Secret]()
	}
	known[importDatabaseURL] = true // of one command, and so no setting of serve's
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if _, ok := known[name]; ok {
			continue
		}
		if base, ok := strings.CutSuffix(name, fileSuffix); ok && known[base] {
			if env[base] != "" {
				return nil, fmt.Errorf("%s and %s are both set", base, name)
			}
			continue
		}
		return nil, fmt.Errorf("%s is not a setting of Portico", name)
	}
	return env, nil
}

// Resolve returns the variable's value for a flag that was not given.
func (env environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	name := variable(flag.Name)
	if path := env[name+fileSuffix]; path != "" {
		value, err := readSecret(path)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", name, fileSuffix, err)
		}
		return value, nil
	}
	if value, ok := env[name]; ok && value != "" {
		return value, nil
	}
	return nil, nil //nolint:nilnil // kong's way to say that there is no value
}

// Validate has nothing to add.
func (environment) Validate(*kong.Application) error { return nil }

// files tells every secret which file it came from.
func (env environment) files(c *Config) {
	for field, value := range reflect.ValueOf(c).Elem().Fields() {
		if secret, ok := reflect.TypeAssert[*Secret](value.Addr()); ok {
			secret.file = env[variable(flagName(field))+fileSuffix]
		}
	}
}

// variable is the name of a flag in the environment.
func variable(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// flagName is the name that kong gives the field's flag.
func flagName(field reflect.StructField) string {
	if name := field.Tag.Get("name"); name != "" {
		return name
	}
	var name strings.Builder
	runes := []rune(field.Name)
	for i, r := range runes {
		startsWord := unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if startsWord {
			name.WriteByte('-')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}
