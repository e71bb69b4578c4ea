package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cardinal/issuance/card"
)

// inserted says which card a command is about, and how its PIN is known.
type inserted struct {
	file       string
	reader     string
	pinFile    string
	management string
}

var (
	errNoCard   = errors.New("give --card FILE for a simulated card, or --reader NAME")
	errNoPIN    = errors.New("no PIN: give --pin-file, or run this on a terminal")
	errNoReader = errors.New("this station was built without readers: build it with -tags pcsc")
)

func (s *station) cardFlags(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVar(&s.where.file, "card", "", "file of a simulated card")
	f.StringVar(&s.where.reader, "reader", "", "PC/SC reader, by its name or the start of it")
	f.StringVar(&s.where.pinFile, "pin-file", "", "file whose first line is the PIN (default: asked for)")
	f.StringVar(&s.where.management, "management-key-file", "", "file with the card's management key in hexadecimal (default: the one of a new card)")
	return c
}

// insert opens the card the flags name.
func (s *station) insert() (card.Card, error) {
	key, err := s.managementKey()
	if err != nil {
		return nil, err
	}
	switch w := s.where; {
	case (w.file == "") == (w.reader == ""):
		return nil, usage("card", errNoCard)
	case w.file != "":
		c, err := card.OpenSimulated(w.file, card.Options{ManagementKey: key})
		if err != nil {
			return nil, wrong("card", err)
		}
		return c, nil
	}
	c, err := openReader(s.where.reader, key)
	if err != nil {
		return nil, wrong("reader", err)
	}
	return c, nil
}

func (s *station) managementKey() ([]byte, error) {
	if s.where.management == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.where.management)
	if err != nil {
		return nil, usage("reading the management key", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, usage("reading the management key", errors.New("not hexadecimal"))
	}
	return key, nil
}

// pin reads the PIN from its file, the terminal without echo, or a line of
// standard input.
func (s *station) pin(prompt string) (string, error) {
	if s.where.pinFile != "" {
		text, err := os.ReadFile(s.where.pinFile)
		if err != nil {
			return "", usage("reading the PIN", err)
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		return strings.TrimSpace(string(line)), nil
	}
	return s.secret(prompt)
}

func (s *station) secret(prompt string) (string, error) {
	fmt.Fprint(s.err, prompt)
	if f, ok := s.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(s.err)
		return string(text), err
	}
	return s.line()
}

// line reads one line; the end of input without one is errNoPIN, since nothing
// else is asked for where nobody can answer.
func (s *station) line() (string, error) {
	text, err := s.in.ReadString('\n')
	if errors.Is(err, io.EOF) && text == "" {
		return "", usage("standard input", errNoPIN)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(text), nil
}

// ask puts a question and reads the answer.
func (s *station) ask(question string) (string, error) {
	fmt.Fprint(s.err, question)
	return s.line()
}

// pendingPath is where a request is kept until its answer is on the card:
// beside a simulated card, and for others among the user's own files.
func (s *station) pendingPath(serial string) (string, error) {
	if s.where.file != "" {
		return s.where.file + ".pending", nil
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	folder = filepath.Join(folder, "cardinal-station")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(folder, serial+".pending"), nil
}
