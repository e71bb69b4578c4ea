package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

var (
	errNoPassphrase    = errors.New("no passphrase: set CARDINAL_PASSPHRASE_FILE, give --passphrase-file, or run this on a terminal")
	errEmptyPassphrase = errors.New("the passphrase is empty")
	errPassphrasesVary = errors.New("the two passphrases differ")
)

// passphraseFlag adds --passphrase-file to a command.
func passphraseFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "passphrase-file", "", "file whose first line is the passphrase of the CA keys (default: $CARDINAL_PASSPHRASE_FILE, else asked for)")
}

// passphrase reads the CA keys' passphrase from the file given, the file the
// environment names, or the terminal; twice there when it is a new one.
func (a *app) passphrase(path string, fresh bool) ([]byte, error) {
	if path == "" {
		path = a.env("CARDINAL_PASSPHRASE_FILE")
	}
	if path == "" {
		return a.askPassphrase(fresh)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("reading the passphrase", err)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, usage("reading the passphrase from "+path, errEmptyPassphrase)
	}
	return line, nil
}

func (a *app) askPassphrase(fresh bool) ([]byte, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, usage("passphrase", errNoPassphrase)
	}
	first, err := a.askOnce(f, "Passphrase of the CA keys: ")
	if err != nil || !fresh {
		return first, err
	}
	second, err := a.askOnce(f, "Once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, usage("passphrase", errPassphrasesVary)
	}
	return first, nil
}

func (a *app) askOnce(f *os.File, prompt string) ([]byte, error) {
	fmt.Fprint(a.err, prompt)
	pass, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return nil, wrong("reading the passphrase", err)
	}
	if len(pass) == 0 {
		return nil, usage("passphrase", errEmptyPassphrase)
	}
	return pass, nil
}
