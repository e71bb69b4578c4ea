package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// startLimit is how long serve may take to be ready: it rebuilds its replica first, and machines
	// under load are slow.
	startLimit = 3 * time.Minute
	// stopLimit is how long serve may take to end once told to: it promises ten seconds.
	stopLimit = 12 * time.Second
)

// child is a serving cardinal. err is set before ended closes.
type child struct {
	command *exec.Cmd
	ended   chan struct{}
	err     error
}

// environment is what the commands of the demo run with: nothing of the caller's own CARDINAL
// variables, so that the demo cannot touch another installation.
func (d *demo) environment(extra ...string) []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "CARDINAL_") {
			kept = append(kept, variable)
		}
	}
	return append(append(kept, "CARDINAL_PASSPHRASE_FILE="+d.passphraseFile()), extra...)
}

func (d *demo) passphraseFile() string { return filepath.Join(d.scratch, "passphrase") }

// call runs one public command and decodes the last line of what it prints into answer, unless that
// is nil. The error carries the command's own line.
func (d *demo) call(ctx context.Context, answer any, args ...string) error {
	command := exec.CommandContext(ctx, d.o.program, args...)
	var out, failed bytes.Buffer
	command.Env, command.Stdout, command.Stderr = d.environment(), &out, &failed
	if err := command.Run(); err != nil {
		return &callError{what: strings.Join(args[:min(2, len(args))], " "), text: lastLine(failed.String()), err: err}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(lastLine(out.String())), answer); err != nil {
		return fmt.Errorf("reading what %s printed: %w", args[0], err)
	}
	return nil
}

// callError is a command that ended with another code than 0.
type callError struct {
	what, text string
	err        error
}

func (e *callError) Error() string {
	if e.text != "" {
		return strings.TrimPrefix(e.text, "cardinal: ")
	}
	return e.what + ": " + e.err.Error()
}

func (e *callError) Unwrap() error { return e.err }

// refusedByRule reports whether err is a command's exit code 3.
func refusedByRule(err error) bool {
	var ended *exec.ExitError
	return errors.As(err, &ended) && ended.ExitCode() == exitRefused
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// watch runs a long command and passes its progress on to standard error.
func (d *demo) watch(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, d.o.program, args...)
	var failed bytes.Buffer
	command.Env, command.Stdout = d.environment(), io.Discard
	command.Stderr = io.MultiWriter(&failed, d.a.err)
	if file, ok := d.a.err.(*os.File); ok {
		command.Stderr = file // a terminal gets its progress bar
	}
	if err := command.Run(); err != nil {
		return &callError{what: args[0], text: lastLine(failed.String()), err: err}
	}
	return nil
}

// start serves the folder as a child and waits until it is ready.
func (d *demo) start(ctx context.Context, dir folder) (ready, error) {
	log, err := os.OpenFile(filepath.Join(string(dir), "serve.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return ready{}, err
	}
	defer log.Close()
	command := exec.Command(d.o.program, "serve", "--dir", string(dir))
	command.Env, command.Stderr = d.environment(), log
	out, err := command.StdoutPipe()
	if err != nil {
		return ready{}, err
	}
	if err := command.Start(); err != nil {
		return ready{}, fmt.Errorf("starting serve: %w", err)
	}
	d.server = &child{command: command, ended: make(chan struct{})}
	lines := make(chan string, 1)
	go d.server.follow(out, lines)
	var announced ready
	select {
	case line := <-lines:
		if err := json.Unmarshal([]byte(line), &announced); err != nil || !announced.Ready {
			return ready{}, fmt.Errorf("serve said %q instead of being ready", line)
		}
		return announced, nil
	case <-d.server.ended:
		return ready{}, fmt.Errorf("serve ended before it was ready (%w): %s", d.server.err, tailOf(log.Name()))
	case <-time.After(startLimit):
		return ready{}, fmt.Errorf("serve was not ready after %s", startLimit)
	case <-ctx.Done():
		return ready{}, ctx.Err()
	}
}

// follow hands over the first line and waits for the end.
func (c *child) follow(out io.Reader, lines chan<- string) {
	reader := bufio.NewReader(out)
	if line, err := reader.ReadString('\n'); err == nil {
		lines <- line
	}
	_, _ = io.Copy(io.Discard, reader) // until it closes standard output
	c.err = c.command.Wait()
	if c.err == nil {
		c.err = errors.New("exit code 0")
	}
	close(c.ended)
}

// stop has the child drain and end; one that does not is killed.
func (c *child) stop() {
	select {
	case <-c.ended:
		return
	default:
	}
	_ = c.command.Process.Signal(syscall.SIGTERM) // it may have ended this very moment
	select {
	case <-c.ended:
	case <-time.After(stopLimit):
		_ = c.command.Process.Kill() // as above
		<-c.ended
	}
}

func tailOf(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLine(string(data))
}
