package program

import (
	"errors"
	"fmt"
	"os"

	"github.com/portico-id/portico/internal/clientkey"
)

type clientKeyCmd struct {
	New    clientKeyNewCmd    `cmd:"" help:"Make a new private key for PORTICO_OIDC_CLIENT_KEY_FILE."`
	Public clientKeyPublicCmd `cmd:"" help:"Print the public half of the configured key as a JWK set, for the provider."`
}

type clientKeyNewCmd struct {
	Alg string `help:"ES256 (P-256) or RS256 (RSA of 3072 bits), whichever the provider takes." enum:"ES256,RS256" default:"ES256"`
	Out string `help:"Write it to this file, which must not exist yet and which only its owner may read. By default it is printed." placeholder:"PATH"`
}

// Run makes a key. Standard output gets the key and nothing else, or nothing
// at all.
func (cmd clientKeyNewCmd) Run(out streams) error {
	text, err := clientkey.Generate(cmd.Alg)
	if err != nil {
		return err
	}
	key, err := clientkey.Parse(text)
	if err != nil {
		return err
	}
	if cmd.Out == "" {
		if _, err := fmt.Fprint(out.stdout, text); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.stderr, "This is the private key %s. Whoever has it is the client: "+
			"clear it from the screen, and keep it where only Portico reads it.\n", key.ID())
		return err
	}
	if err := writePrivate(cmd.Out, text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stderr, "%s has the private key %s. Give the provider what `portico client-key public` prints.\n", cmd.Out, key.ID())
	return err
}

// writePrivate writes a new file that nobody else may read. It writes over
// none: the key that was there may be the one in use.
func writePrivate(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // half a key is none
	}
	return nil
}

type clientKeyPublicCmd struct {
	OIDCClientKey Secret `name:"oidc-client-key" help:"The private key: PEM (PKCS#8, SEC1, PKCS#1) or a JWK." placeholder:"KEY"`
}

// Run prints the public key.
func (cmd clientKeyPublicCmd) Run(out streams) error {
	if cmd.OIDCClientKey.value == "" {
		return &UsageError{errors.New("PORTICO_OIDC_CLIENT_KEY is not set: make one with `portico client-key new`")}
	}
	key, err := clientkey.Parse(cmd.OIDCClientKey.value)
	if err != nil {
		return &UsageError{fmt.Errorf("PORTICO_OIDC_CLIENT_KEY holds an %w", err)}
	}
	_, err = fmt.Fprintf(out.stdout, "%s\n", key.Public())
	return err
}
