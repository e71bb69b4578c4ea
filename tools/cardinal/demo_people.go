package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"cardinal/issuance/api"
)

// holder is one person of the demo with a simulated card.
type holder struct {
	given, family string
	uuid          string
	card          string // id of the card on record
	file          string // the simulated card
}

// newHolder draws a person who is nobody else: the demo may run many times on one folder, and two
// persons of one name and birth would rightly be refused.
func (d *demo) newHolder() (*holder, error) {
	given := []string{"Amara", "Bronwen", "Callum", "Devika", "Eilidh", "Farah", "Gwilym", "Harriet", "Idris", "Jaswinder"}
	family := []string{"Adeyemi", "Blackwood", "Chowdhury", "Davies", "Fitzgerald", "Gallagher", "Hussain", "Kowalski", "Llewellyn", "Patel"}
	first, err := pick(len(given))
	if err != nil {
		return nil, err
	}
	last, err := pick(len(family))
	if err != nil {
		return nil, err
	}
	h := &holder{given: given[first], family: family[last]}
	h.file = filepath.Join(d.scratch, "cards", rand.Text()+".card")
	return h, os.MkdirAll(filepath.Dir(h.file), 0o700)
}

func pick(n int) (int, error) {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		return 0, fmt.Errorf("drawing a number: %w", err)
	}
	return int(i.Int64()), nil
}

// as adds the operator and the server to a command's arguments.
func (d *demo) as(operator string, args ...string) []string {
	return append(args, "--as", filepath.Join(d.folder.operators(), operator+".pem"),
		"--server", d.ready.Issuance, "--trust", d.folder.trust())
}

// register has the RA manager put a person on record, with documents and photo, and give a role.
func (d *demo) register(ctx context.Context, h *holder) (string, error) {
	evidence, photo, err := d.evidence(h)
	if err != nil {
		return "", err
	}
	days, err := pick(365 * 40)
	if err != nil {
		return "", err
	}
	born := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, days).Format(time.DateOnly)
	var added struct{ UUID string }
	err = d.call(ctx, &added, d.as("manager", "person", "add", "--title", "Dr", "--given", h.given, "--family", h.family,
		"--birth", born, "--evidence", evidence, "--photo", photo)...)
	if err != nil {
		return "", err
	}
	h.uuid = added.UUID
	for _, role := range []struct{ code, name string }{
		{"S8000:G8000:R8000", `"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"`},
		{"S8000:G8001:R8006", `"Clinical":"Admin and Clerical":"Medical Secretary Access Role"`},
	} {
		err := d.call(ctx, nil, d.as("manager", "position", "add", "--person", h.uuid, "--organisation", "X99",
			"--name", "EXAMPLE NHS TRUST", "--role-code", role.code, "--role", role.name)...)
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("Dr %s %s is %s, with two roles", h.given, h.family, h.uuid), nil
}

// evidence writes what the agent saw: three documents, one with a photo, one proving the address.
func (d *demo) evidence(h *holder) (documents, photo string, err error) {
	seen := api.Evidence{Documents: []api.Document{
		{Kind: "passport", Number: rand.Text()[:9], Photo: true},
		{Kind: "driving-licence", Number: rand.Text()[:16], Photo: true, Address: true},
		{Kind: "utility-bill", Address: true},
	}}
	text, err := json.Marshal(seen)
	if err != nil {
		return "", "", err
	}
	documents, photo = h.file+".json", h.file+".jpg"
	if err := os.WriteFile(documents, text, 0o600); err != nil {
		return "", "", err
	}
	picture, err := portrait()
	if err != nil {
		return "", "", err
	}
	return documents, photo, os.WriteFile(photo, picture, 0o600)
}

// portrait draws something that is a JPEG and nobody's face.
func portrait() ([]byte, error) {
	picture := image.NewRGBA(image.Rect(0, 0, 240, 320))
	for y := range 320 {
		for x := range 240 {
			picture.Set(x, y, color.RGBA{R: uint8(x), G: uint8(y / 2), B: uint8(x ^ y), A: 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, nil); err != nil {
		return nil, fmt.Errorf("drawing a photo: %w", err)
	}
	return b.Bytes(), nil
}

// request opens a case and has the sponsor approve it.
func (d *demo) request(ctx context.Context, h *holder) (id string, err error) {
	var asked struct{ Case string }
	if err := d.call(ctx, &asked, d.as("manager", "case", "request", "--person", h.uuid, "--reason", "new in post")...); err != nil {
		return "", err
	}
	return asked.Case, d.approve(ctx, asked.Case)
}

func (d *demo) approve(ctx context.Context, id string) error {
	return d.call(ctx, nil, d.as("sponsor", "case", "approve", id, "--reason", "works in my department")...)
}

// issue has the agent issue the approved case's pair to the holder's card and hand it over.
func (d *demo) issue(ctx context.Context, h *holder, id string) (string, error) {
	var issued pairIssued
	if err := d.call(ctx, &issued, d.as("manager", "card", "issue", id, "--request-id", rand.Text(), "--simulated", h.file)...); err != nil {
		return "", err
	}
	h.card = issued.Card
	if err := d.call(ctx, nil, d.as("manager", "card", "handover", h.card)...); err != nil {
		return "", err
	}
	return fmt.Sprintf("card %s, serials %s and %s", h.card, issued.Serials.Authentication, issued.Serials.Signature), nil
}
