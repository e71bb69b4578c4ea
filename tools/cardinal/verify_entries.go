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
	copies, total := map[string]int{}, 0
	for _, suffix := range entries.Suffixes() {
		n, err := countEntries(copied, suffix)
		if err != nil {
			return err
		}
		copies[suffix.String()] = n
		total += n
	}
	bar := v.a.progress("entries", int64(total))
	defer bar.finish()
	for _, suffix := range entries.Suffixes() {
		count := 0
		err := spread(&v.findings, bar, func(give func(*directory.Entry)) error {
			return entries.Subtree(tx, suffix, func(e *directory.Entry) error {
				count++
				give(e)
				return nil
			})
		}, func(e *directory.Entry, f *findings) {
			v.checkShownCard(e, f)
			checkEntry(copied, e, f)
		})
		var absent *directory.Error
		if errors.As(err, &absent) && absent.Code == directory.NoSuchObject && copies[suffix.String()] == 0 {
			continue // a suffix that holds nothing yet
		}
		if err != nil {
			v.found("entries of record below "+suffix.String(), "%v", err)
			continue
		}
		v.report.Entries += count
		if n := copies[suffix.String()]; n != count {
			v.found("entries below "+suffix.String(), "the register has %d, the journal %d", count, n)
		}
	}
	return nil
}

func checkEntry(copied *tree.Tree, e *directory.Entry, f *findings) {
	key, err := copied.Schema().Key(e.DN)
	if err != nil {
		f.found("entry "+e.DN.String(), "%v", err)
		return
	}
	different := ""
	err = copied.Get(key, func(found *tree.Entry) error {
		decoded, err := found.Decode()
		if err != nil {
			return err
		}
		uuid := found.UUID()
		decoded.Put("entryUUID", directory.FormatUUID(uuid))
		if alike(e, decoded) {
			return nil
		}
		if is, should := flat(decoded), flat(e); is != should {
			different = differing(should, is)
		}
		return nil
	})
	var none *tree.NoSuchBase
	switch {
	case errors.As(err, &none):
		f.found("entry "+e.DN.String(), "the register has it, the journal does not")
	case err != nil:
		f.found("entry "+e.DN.String(), "%v", err)
	case different != "":
		f.found("entry "+e.DN.String(), "%s", different)
	}
}

// countEntries counts what the copy has of a suffix: entries that the journal has and the register has not show in it.
func countEntries(copied *tree.Tree, suffix directory.DN) (count int, err error) {
	key, err := copied.Schema().Key(suffix)
	if err != nil {
		return 0, err
	}
	scan := copied.Open(tree.Request{Base: key, Scope: tree.ScopeSubtree})
	_, err = scan.Step(0, func(*tree.Entry) bool { count++; return true })
	var none *tree.NoSuchBase
	if err != nil && !errors.As(err, &none) {
		return 0, fmt.Errorf("counting the entries below %s: %w", suffix, err)
	}
	return count, nil
}

// derived tells whether an attribute follows from an entry's place: the two sides compute it, and it is left out.
func derived(name string) bool {
	return strings.EqualFold(name, "entryCSN") || strings.EqualFold(name, "entryDN")
}

// alike tells whether two entries have the same in the same order, as they mostly do: the quick answer to what flat
// finds out.
func alike(a, b *directory.Entry) bool {
	rest := b.Attributes
	for _, x := range a.Attributes {
		if derived(x.Type) || len(x.Values) == 0 {
			continue
		}
		for len(rest) > 0 && (derived(rest[0].Type) || len(rest[0].Values) == 0) {
			rest = rest[1:]
		}
		if len(rest) == 0 || !strings.EqualFold(rest[0].Type, x.Type) || !slices.EqualFunc(x.Values, rest[0].Values, bytes.Equal) {
			return false
		}
		rest = rest[1:]
	}
	return !slices.ContainsFunc(rest, func(x directory.Attribute) bool { return !derived(x.Type) && len(x.Values) > 0 })
}

// flat writes an entry's attributes in an order of their own, since the order of attributes and
// values means nothing (RFC 4512 §2.2).
func flat(e *directory.Entry) string {
	var lines []string
	for _, a := range e.Attributes {
		if name := strings.ToLower(a.Type); !derived(name) {
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
