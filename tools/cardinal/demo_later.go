package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// daysLeft is how long before the end of the pair the demo's last login happens.
const daysLeft = 30

// yearsLater signs in with a card that has 30 days left. The demo cannot wait three years, so it
// copies the folder, serves the copy with its clock put forward, and has a relying system of that
// day ask it. The copy is removed; the installation itself never saw another time.
func (d *demo) yearsLater(ctx context.Context) error {
	d.server.stop()
	err := d.step("three years on", func() (string, error) { return d.laterLogin(ctx) })
	if err != nil {
		return err
	}
	if d.o.once {
		return nil
	}
	return d.begin(ctx)
}

func (d *demo) laterLogin(ctx context.Context) (string, error) {
	later := folder(filepath.Join(d.scratch, "later"))
	if err := d.copyFolder(later); err != nil {
		return "", err
	}
	defer os.RemoveAll(string(later))
	ahead := d.a.now().AddDate(3, 0, -daysLeft).Sub(d.a.now())
	if err := d.reconfigure(later, func(c *Config) { c.Demo.Clock = ahead }); err != nil {
		return "", err
	}
	announced, err := d.start(ctx, later)
	if err != nil {
		return "", err
	}
	defer d.server.stop()
	system, err := d.relyingSystem(later, announced)
	if err != nil {
		return "", err
	}
	system.now = func() time.Time { return d.a.now().Add(ahead) }
	report, err := d.loginAt(ctx, system, d.doctor)
	if err != nil {
		return "", err
	}
	if report.Alert == "" || report.Days < daysLeft-2 || report.Days > daysLeft {
		return "", fmt.Errorf("the login shows %d days left and the alert %q, want about %d days and an alert", report.Days, report.Alert, daysLeft)
	}
	return report.summary() + "; alert: " + report.Alert, nil
}

// copyFolder copies the stopped installation, without the demo's own files.
func (d *demo) copyFolder(to folder) error {
	if err := os.RemoveAll(string(to)); err != nil {
		return err
	}
	if err := os.MkdirAll(string(to), 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(string(d.folder))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, dest := filepath.Join(string(d.folder), entry.Name()), filepath.Join(string(to), entry.Name())
		switch {
		case entry.Name() == filepath.Base(d.scratch):
			continue
		case entry.IsDir():
			err = os.CopyFS(dest, os.DirFS(from))
		default:
			err = copyFile(dest, from)
		}
		if err != nil {
			return fmt.Errorf("copying %s: %w", entry.Name(), err)
		}
	}
	return nil
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
