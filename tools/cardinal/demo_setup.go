package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"cardinal/tools/internal/workforce"
)

// marker is the file that says a folder is the demo's own, so that --fresh removes nothing else.
const marker = "demo/this-is-a-demo"

// setUp makes the installation: hierarchy, configuration and workforce. A folder that the demo made
// before is taken as it is.
func (d *demo) setUp(ctx context.Context) error {
	exists, err := d.claimFolder()
	if err != nil {
		return usage("demo", err)
	}
	if exists {
		return d.step("folder", func() (string, error) { return string(d.folder) + " was made before: starting it again", nil })
	}
	if err := d.step("hierarchy", func() (string, error) { return d.makeHierarchy(ctx) }); err != nil {
		return err
	}
	people := filepath.Join(d.scratch, "workforce.ldif")
	if err := d.step("workforce", func() (string, error) { return d.makeWorkforce(people) }); err != nil {
		return err
	}
	err = d.step("import", func() (string, error) {
		if err := d.watch(ctx, "import", "--dir", string(d.folder), people); err != nil {
			return "", err
		}
		return "the directory of record holds them", os.Remove(people)
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(string(d.folder), marker), nil, 0o600)
}

// claimFolder reports whether the folder is a finished demo. A half-made one is removed and made
// again; a folder of anything else is refused.
func (d *demo) claimFolder() (exists bool, err error) {
	entries, err := os.ReadDir(string(d.folder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	_, finished := os.Stat(filepath.Join(string(d.folder), marker))
	_, begun := os.Stat(d.passphraseFile())
	switch {
	case len(entries) > 0 && finished != nil && begun != nil:
		return false, errNotDemo
	case finished == nil && !d.o.fresh:
		return true, nil
	}
	if err := os.RemoveAll(string(d.folder)); err != nil {
		return false, err
	}
	if err := os.MkdirAll(d.scratch, 0o700); err != nil {
		return false, err
	}
	return false, os.WriteFile(d.passphraseFile(), []byte(rand.Text()+"\n"), 0o600)
}

// makeHierarchy runs init for a status address that is free now, and then has the other servers take
// any free port: certificates name the status address alone.
func (d *demo) makeHierarchy(ctx context.Context) (string, error) {
	status, err := freeAddress()
	if err != nil {
		return "", err
	}
	if err := d.watch(ctx, "init", "--dir", string(d.folder), "--name", "Cardinal Demo", "--public-url", "http://"+status); err != nil {
		return "", err
	}
	err = d.reconfigure(d.folder, func(c *Config) {
		c.Listen = Listen{LDAP: "127.0.0.1:0", LDAPS: "127.0.0.1:0", Status: status, Issuance: "127.0.0.1:0", Operations: "127.0.0.1:0"}
		c.Demo.Enabled = true
	})
	return "root, authentication, signing and services in " + string(d.folder), err
}

// reconfigure edits the configuration as an operator would in an editor.
func (d *demo) reconfigure(dir folder, change func(*Config)) error {
	c, err := readConfig(dir.config())
	if err != nil {
		return err
	}
	change(&c)
	text, err := c.commented()
	if err != nil {
		return err
	}
	return os.WriteFile(dir.config(), text, 0o600)
}

// freeAddress finds a port below those that systems give out by themselves (RFC 6335 §6, Linux from 32768), which
// another program could be given before serve listens there.
func freeAddress() (string, error) {
	const low, high, tries = 20_000, 30_000, 100
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", low+mathrand.IntN(high-low))
		if listener, err := net.Listen("tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

func (d *demo) makeWorkforce(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	bar := d.a.progress("writing the workforce", 0)
	entries := workforce.All(workforce.Options{People: d.o.people, Organisations: d.o.orgs, Seed: d.o.seed})
	written, err := workforce.WriteLDIF(file, counted(entries, bar))
	bar.finish()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d people in %d organisations, %d entries, seed %d", d.o.people, d.o.orgs, written, d.o.seed), file.Close()
}

// counted passes a sequence on and has the bar show how far it is.
func counted[T any](all iter.Seq[T], b *bar) iter.Seq[T] {
	return func(yield func(T) bool) {
		for one := range all {
			b.add(1)
			if !yield(one) {
				return
			}
		}
	}
}

// begin serves the folder.
func (d *demo) begin(ctx context.Context) error {
	return d.step("serve", func() (string, error) {
		announced, err := d.start(ctx, d.folder)
		if err != nil {
			return "", err
		}
		d.ready = announced
		return fmt.Sprintf("%s, %s, %s", announced.LDAPS, announced.Status, announced.Issuance), d.countPeople(ctx)
	})
}

// countPeople waits until the directory answers for the whole workforce: the replica may still be
// reading what was imported.
func (d *demo) countPeople(ctx context.Context) error {
	system, err := d.relyingSystem(d.folder, d.ready)
	if err != nil {
		return err
	}
	operator := filepath.Join(d.folder.operators(), "manager.pem")
	own, err := tls.LoadX509KeyPair(operator, operator)
	if err != nil {
		return err
	}
	system.identity = []tls.Certificate{own}
	deadline := time.Now().Add(startLimit)
	for {
		people, err := system.numSubordinates(ctx, "ou=People,o=nhs")
		if err == nil && people >= d.o.people {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the directory shows %d of %d people: %w", people, d.o.people, errors.Join(err, errStepFailed))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
