package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
)

// desk is how a command reaches the issuance server: as whom, where, and whom
// to trust there.
type desk struct {
	a            *app
	as           string
	passwordFile string
	server       string
	trust        string
	pin          string
	own          *ownCard // set by dial when the operator is a simulated card
}

// defaultServer is where serve listens unless it is configured otherwise.
const defaultServer = "https://127.0.0.1:8443"

var errNoOperator = errors.New("says not as whom to act: give --as FILE (a PKCS #12 or PEM file) or set CARDINAL_OPERATOR")

// flags adds what every command over the API takes, to c and those below it.
func (d *desk) flags(c *cobra.Command) *cobra.Command {
	f := c.PersistentFlags()
	f.StringVar(&d.as, "as", "", "operator's certificate and key, PKCS #12 or PEM, or a simulated card (default: $CARDINAL_OPERATOR)")
	f.StringVar(&d.passwordFile, "password-file", "", "file with the password of a PKCS #12 operator (default: the file beside it that ends in .password, else $CARDINAL_PASSPHRASE_FILE)")
	f.StringVar(&d.server, "server", "", "issuance server (default: $CARDINAL_SERVER, else the one that serves beside the operator's file, else "+defaultServer+")")
	f.StringVar(&d.pin, "card-pin", "", "PIN of an operator's simulated card")
	f.StringVar(&d.trust, "trust", "", "PEM file of roots to trust (default: $CARDINAL_TRUST, else those in the operator's file)")
	return c
}

// deskCommand is one leaf: ask is given a client that speaks as the operator.
type deskCommand struct {
	use, short, example string
	args                cobra.PositionalArgs
	ask                 func(ctx context.Context, c *api.Client, args []string) error
}

func (d *desk) command(k deskCommand) *cobra.Command {
	name, _, _ := strings.Cut(k.use, " ")
	return &cobra.Command{Use: k.use, Short: k.short, Example: "  " + k.example, Args: k.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			what := cmd.Parent().Name() + " " + name
			client, err := d.dial()
			if err != nil {
				return failing(what, errors.Join(err, d.own.close()))
			}
			err = k.ask(cmd.Context(), client, args)
			client.Close()
			return failing(what, errors.Join(err, d.own.close()))
		}}
}

// dial makes the client; nothing is asked yet.
func (d *desk) dial() (*api.Client, error) {
	path := d.operatorPath()
	if path == "" {
		return nil, usage("operator", errNoOperator)
	}
	id, err := d.identity(path)
	var pin *card.PINError
	if errors.As(err, &pin) {
		return nil, refused("signing in with "+path, err)
	}
	if err != nil {
		return nil, usage("reading the operator "+path, err)
	}
	config, err := id.tlsConfig(or(d.trust, d.a.env("CARDINAL_TRUST")))
	if err != nil {
		return nil, usage("trust", err)
	}
	client, err := api.New(d.address(path), config)
	if err != nil {
		return nil, usage("server", err)
	}
	return client, nil
}

func (d *desk) operatorPath() string { return or(d.as, d.a.env("CARDINAL_OPERATOR")) }

// address prefers what was said, then what the server beside the operator's
// file announced when it was ready (it may listen on any free port).
func (d *desk) address(operator string) string {
	if said := or(d.server, d.a.env("CARDINAL_SERVER")); said != "" {
		return said
	}
	if r, err := readReady(filepath.Dir(filepath.Dir(operator))); err == nil && r.Issuance != "" {
		return r.Issuance
	}
	return defaultServer
}

func (d *desk) identity(path string) (id *identity, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if id, err := parsePEMIdentity(data); err == nil || !errors.Is(err, errNotPEM) {
		return id, err
	}
	if bytes.HasPrefix(data, []byte("{")) {
		id, d.own, err = operatorCard(path, or(d.pin, card.DefaultPIN))
		return id, err
	}
	if beside, err := os.ReadFile(passwordBeside(path)); err == nil && d.passwordFile == "" {
		return parseP12Identity(data, strings.TrimRight(string(beside), "\r\n"))
	}
	password, err := d.password()
	if err != nil {
		return nil, err
	}
	return parseP12Identity(data, password)
}

// passwordBeside is the file where the password of a PKCS #12 file is, as init
// leaves it.
func passwordBeside(p12 string) string { return strings.TrimSuffix(p12, ".p12") + ".password" }

func (d *desk) password() (string, error) {
	path := or(d.passwordFile, d.a.env("CARDINAL_PASSPHRASE_FILE"))
	if path == "" {
		if pass, err := d.a.askPassphrase(false); err == nil {
			return string(pass), nil
		}
		return "", nil
	}
	pass, err := d.a.passphrase(path, false)
	return string(pass), err
}

// wrote prints the answer to a write: always JSON, since scripts read it.
func (d *desk) wrote(answer any, err error) error {
	if err != nil {
		return err
	}
	return d.a.printJSON(answer)
}

// shown prints what was read.
func shown[T any](d *desk, answer *T, err error, text func(w io.Writer, t *T)) error {
	if err != nil {
		return err
	}
	return d.a.print(answer, func(w io.Writer) { text(w, answer) })
}

// row writes cells as one line of a table.
func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, c)
	}
	fmt.Fprintln(w)
}

// or gives the first that is not empty.
func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
