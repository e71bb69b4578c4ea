package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"cardinal/directory"
	"cardinal/issuance/card"
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
	ahead, err := d.untilLast(daysLeft)
	if err != nil {
		return "", err
	}
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
	if report.Alert == "" || report.Days != daysLeft {
		return "", fmt.Errorf("the login shows %d days left and the alert %q, want %d days and an alert", report.Days, report.Alert, daysLeft)
	}
	return report.summary() + "; alert: " + report.Alert, nil
}

// untilLast is how long it is from now to noon in London so many days before the doctor's pair ends.
func (d *demo) untilLast(days int) (time.Duration, error) {
	inserted, err := card.OpenSimulated(d.doctor.file, card.Options{})
	if err != nil {
		return 0, err
	}
	defer inserted.Close()
	der, err := inserted.Certificate(card.SlotAuthentication)
	if err != nil {
		return 0, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return 0, err
	}
	zone, err := directory.London()
	if err != nil {
		return 0, err
	}
	year, month, day := certificate.NotAfter.In(zone).Date()
	return time.Date(year, month, day-days, 12, 0, 0, 0, zone).Sub(d.a.now()), nil
}

// copyFolder copies the stopped installation without the demo's own files.
func (d *demo) copyFolder(to folder) error {
	if err := os.RemoveAll(string(to)); err != nil {
		return err
	}
	return copyFolder(to, d.folder, filepath.Base(d.scratch))
}

// copyFolder copies a stopped installation but for one name in it, as private as it is.
func copyFolder(to, from folder, without string) error {
	return filepath.WalkDir(string(from), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(string(from), path)
		switch {
		case err != nil:
			return err
		case name == without:
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(string(to), name), 0o700)
		case !entry.Type().IsRegular():
			return nil // a socket belongs to the process that made it
		}
		return copyFile(filepath.Join(string(to), name), path)
	})
}

// copyFile copies a private file.
func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
