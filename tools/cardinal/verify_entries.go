package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/directory/tree"
	"cardinal/internal/ledger"
)

// checkEntries compares every entry of record with the rebuilt copy, and what it shows of a card
// with what the desk has, and counts both.
func (v *verifier) checkEntries(tx *ledger.Tx, copied *tree.Tree, entries *register.Register) error {
	if err := v.readShown(tx); err != nil {
		return err
	}
	for _, suffix := range entries.Suffixes() {
		count := 0
		err := entries.Subtree(tx, suffix, func(e *directory.Entry) error {
			count++
			v.checkShownCard(e)
			return v.checkEntry(copied, e)
		})
		var absent *directory.Error
		if errors.As(err, &absent) && absent.Code == directory.NoSuchObject {
			continue // a suffix that holds nothing yet
		}
		if err != nil {
			v.found("entries of record below "+suffix.String(), "%v", err)
			continue
		}
		v.report.Entries += count
		if err := v.countEntries(copied, suffix, count); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) checkEntry(copied *tree.Tree, e *directory.Entry) error {
	key, err := copied.Schema().Key(e.DN)
	if err != nil {
		v.found("entry "+e.DN.String(), "%v", err)
		return nil
	}
	var is string
	err = copied.Get(key, func(found *tree.Entry) error {
		decoded, err := found.Decode()
		if err != nil {
			return err
		}
		uuid := found.UUID()
		decoded.Put("entryUUID", directory.FormatUUID(uuid))
		is = flat(decoded)
		return nil
	})
	var none *tree.NoSuchBase
	switch {
	case errors.As(err, &none):
		v.found("entry "+e.DN.String(), "the register has it, the journal does not")
	case err != nil:
		v.found("entry "+e.DN.String(), "%v", err)
	case is != flat(e):
		v.found("entry "+e.DN.String(), "%s", differing(flat(e), is))
	}
	return nil
}

// countEntries finds entries that the journal has and the register has not.
func (v *verifier) countEntries(copied *tree.Tree, suffix directory.DN, want int) error {
	key, err := copied.Schema().Key(suffix)
	if err != nil {
		return err
	}
	scan := copied.Open(tree.Request{Base: key, Scope: tree.ScopeSubtree})
	count := 0
	if _, err := scan.Step(0, func(*tree.Entry) bool { count++; return true }); err != nil {
		return fmt.Errorf("counting the entries below %s: %w", suffix, err)
	}
	if count != want {
		v.found("entries below "+suffix.String(), "the register has %d, the journal %d", want, count)
	}
	return nil
}

// flat writes an entry's attributes in an order of their own, since the order of attributes and
// values means nothing (RFC 4512 §2.2). What follows from an entry's place is left out: the two
// sides compute it.
func flat(e *directory.Entry) string {
	var lines []string
	for _, a := range e.Attributes {
		if name := strings.ToLower(a.Type); name != "entrycsn" && name != "entrydn" {
			for _, value := range a.Values {
				lines = append(lines, fmt.Sprintf("%s: %q", name, value))
			}
		}
	}
	slices.Sort(lines)
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// differing names the first line in which two flat entries differ.
func differing(register, journal string) string {
	a, b := strings.Split(register, "\n"), strings.Split(journal, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("the register has %s, the journal %s", a[i], b[i])
		}
	}
	return fmt.Sprintf("the register has %d values, the journal %d", len(a)-1, len(b)-1)
}
