package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// refusalLimit is how long the demo waits for a lost card to be refused before it calls the promise
// of one second broken: the step then fails.
const refusalLimit = time.Second

// errStillIn says that a card that should be refused was let in.
var errStillIn = errors.New("the card was let in")

// firstCard brings a person to a card and signs in with it.
func (d *demo) firstCard(ctx context.Context) error {
	h, err := d.newHolder()
	if err != nil {
		return err
	}
	d.doctor = h
	if err := d.step("register", func() (string, error) { return d.register(ctx, h) }); err != nil {
		return err
	}
	if err := d.issueSteps(ctx, h); err != nil {
		return err
	}
	return d.loginStep(ctx, "login", h)
}

// issueSteps requests, approves and issues a card, and shows that whoever approved cannot issue.
func (d *demo) issueSteps(ctx context.Context, h *holder) error {
	var id string
	err := d.step("approve", func() (detail string, err error) {
		id, err = d.request(ctx, h)
		return "the sponsor approved case " + id, err
	})
	if err != nil {
		return err
	}
	err = d.step("four eyes", func() (string, error) {
		err := d.call(ctx, nil, d.as("sponsor", "card", "issue", id, "--request-id", rand.Text(), "--simulated", h.file+".other")...)
		if !refusedByRule(err) {
			return "", fmt.Errorf("the sponsor was not refused the issuing: %w", errors.Join(err, errStepFailed))
		}
		return "the sponsor may not issue: " + err.Error(), nil
	})
	if err != nil {
		return err
	}
	return d.step("issue", func() (string, error) { return d.issue(ctx, h, id) })
}

// loginStep signs in and wants to be let in.
func (d *demo) loginStep(ctx context.Context, name string, h *holder) error {
	return d.step(name, func() (string, error) {
		report, err := d.login(ctx, h)
		if err != nil {
			return "", err
		}
		if report.User != h.uuid || len(report.Roles) != 2 {
			return "", fmt.Errorf("signed in as %q with %d roles, want %s with 2", report.User, len(report.Roles), h.uuid)
		}
		return report.summary(), nil
	})
}

// refusedStep signs in again and again until the card is refused, and notes how long that took.
func (d *demo) refusedStep(ctx context.Context, name string, h *holder, since time.Time) (float64, error) {
	var took float64
	err := d.step(name, func() (string, error) {
		for tries := 1; ; tries++ {
			report, err := d.login(ctx, h)
			took = millis(time.Since(since))
			var refusal *refusedLogin
			switch {
			case errors.As(err, &refusal):
				return fmt.Sprintf("%s (%.1f ms after the command returned, try %d)", report.summary(), took, tries), nil
			case err != nil:
				return "", err
			case time.Since(since) > refusalLimit:
				return "", fmt.Errorf("%w %.0f ms after the command returned", errStillIn, took)
			}
		}
	})
	return took, err
}

// lostCard reports the card lost, shows the next login refused, and replaces the card.
func (d *demo) lostCard(ctx context.Context) error {
	h := d.doctor
	var since time.Time
	err := d.step("report lost", func() (string, error) {
		err := d.call(ctx, nil, d.as("manager", "card", "cancel", h.card, "--reason", "lost")...)
		since = time.Now()
		return "card " + h.card + " is cancelled", err
	})
	if err != nil {
		return err
	}
	if d.refused, err = d.refusedStep(ctx, "refused", h, since); err != nil {
		return err
	}
	return d.replace(ctx, h)
}

// replace opens the replacement's case, has it approved and issued to a new card, and signs in.
func (d *demo) replace(ctx context.Context, h *holder) error {
	h.file += ".2"
	err := d.step("replace", func() (string, error) {
		var written struct{ Case string }
		if err := d.call(ctx, &written, d.as("manager", "card", "replace", h.card, "--reason", "lost")...); err != nil {
			return "", err
		}
		if err := d.approve(ctx, written.Case); err != nil {
			return "", err
		}
		return d.issue(ctx, h, written.Case)
	})
	if err != nil {
		return err
	}
	return d.loginStep(ctx, "login again", h)
}

// suspendedCard suspends and resumes the card.
func (d *demo) suspendedCard(ctx context.Context) error {
	h := d.doctor
	var since time.Time
	err := d.step("suspend", func() (string, error) {
		err := d.call(ctx, nil, d.as("manager", "card", "suspend", h.card, "--reason", "may turn up today")...)
		since = time.Now()
		return "both certificates are on hold", err
	})
	if err != nil {
		return err
	}
	if _, err := d.refusedStep(ctx, "suspended", h, since); err != nil {
		return err
	}
	err = d.step("resume", func() (string, error) {
		return "the card turned up", d.call(ctx, nil, d.as("manager", "card", "resume", h.card, "--reason", "it turned up")...)
	})
	if err != nil {
		return err
	}
	return d.loginStep(ctx, "resumed", h)
}

// renewedCard puts a new pair on the card.
func (d *demo) renewedCard(ctx context.Context) error {
	h := d.doctor
	err := d.step("renew", func() (string, error) {
		var issued pairIssued
		err := d.call(ctx, &issued, d.as("manager", "card", "renew", h.card, "--request-id", rand.Text(), "--simulated", h.file)...)
		return fmt.Sprintf("a new pair on the same card, serials %s and %s", issued.Serials.Authentication, issued.Serials.Signature), err
	})
	if err != nil {
		return err
	}
	return d.loginStep(ctx, "renewed", h)
}
