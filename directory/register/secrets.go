package register

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// takeSecrets removes the secret attributes from an entry and names them.
func (r *Register) takeSecrets(e *directory.Entry) (secrets []directory.Attribute, names []string) {
	for i := 0; i < len(e.Attributes); {
		t := r.schema.Attribute(e.Attributes[i].Type)
		if !r.isSecret(t) {
			i++
			continue
		}
		a := directory.Attribute{Type: t.Name(), Values: slices.Clone(e.Attributes[i].Values)}
		secrets = append(secrets, a)
		names = append(names, t.Name())
		e.Attributes = slices.Delete(e.Attributes, i, i+1)
	}
	return secrets, names
}

// partMods parts modifications of secrets from the others.
func (r *Register) partMods(mods []directory.Modification) (public, secret []directory.Modification) {
	for _, m := range mods {
		if r.isSecret(r.schema.Attribute(m.Attribute.Type)) {
			secret = append(secret, m)
		} else {
			public = append(public, m)
		}
	}
	return public, secret
}

// SealEntry returns the entry with password values hashed. It is slow by
// design: call it before the transaction. e is not changed.
func (r *Register) SealEntry(e *directory.Entry) *directory.Entry {
	out := &directory.Entry{DN: e.DN, Attributes: slices.Clone(e.Attributes)}
	for i := range out.Attributes {
		if r.isSecret(r.schema.Attribute(out.Attributes[i].Type)) {
			out.Attributes[i].Values = r.sealed(out.Attributes[i].Type, out.Attributes[i].Values)
		}
	}
	return out
}

// SealMods is SealEntry for the values modifications add; values they delete
// stay as they are, to be compared.
func (r *Register) SealMods(mods []directory.Modification) []directory.Modification {
	out := slices.Clone(mods)
	for i := range out {
		if out[i].Op != directory.ModDelete && r.isSecret(r.schema.Attribute(out[i].Attribute.Type)) {
			out[i].Attribute.Values = r.sealed(out[i].Attribute.Type, out[i].Attribute.Values)
		}
	}
	return out
}

// sealed hashes passwords; other secrets are verifiers already.
func (r *Register) sealed(name string, values [][]byte) [][]byte {
	if t := r.schema.Attribute(name); t == nil || t.Name() != "userPassword" {
		return values
	}
	out := make([][]byte, len(values))
	for i, v := range values {
		out[i] = directory.SealPassword(v)
	}
	return out
}

// keepSecrets stores the secrets of an entry and appends one change.
func (r *Register) keepSecrets(tx *ledger.Tx, u directory.UUID, secrets []directory.Attribute) error {
	if len(secrets) == 0 {
		return nil
	}
	x := directory.SecretsChanged{}
	for _, a := range secrets {
		s := directory.Secret{UUID: u, Attribute: a.Type, Values: r.sealed(a.Type, a.Values)}
		storeSecret(tx, &s)
		x.Secrets = append(x.Secrets, s)
	}
	tx.Append(journal.KindSecretsChanged, directory.ChangeVersion, x.Append(nil))
	return nil
}

func storeSecret(tx *ledger.Tx, s *directory.Secret) {
	if len(s.Values) == 0 {
		tx.Defer(`DELETE FROM directory_secret WHERE uuid = $1 AND attribute = $2`, s.UUID[:], s.Attribute)
		return
	}
	x := directory.SecretsChanged{Secrets: []directory.Secret{*s}}
	tx.Defer(`INSERT INTO directory_secret (uuid, attribute, data) VALUES ($1, $2, $3)
		ON CONFLICT (uuid, attribute) DO UPDATE SET data = excluded.data`, s.UUID[:], s.Attribute, x.Append(nil))
}

// elsewhere names the secret attributes an entry has, if one of its classes,
// or of those modifications speak of, requires such an attribute.
func (r *Register) elsewhere(tx *ledger.Tx, s *stored, mods []directory.Modification) ([]string, error) {
	needed := r.needSecrets(s.entry.Get("objectClass"))
	for i := range mods {
		needed = needed || r.touchesClasses(mods[i:i+1]) && r.needSecrets(mods[i].Attribute.Values)
	}
	if !needed {
		return nil, nil
	}
	return r.secretNames(tx, s.uuid)
}

// needSecrets reports whether one of the classes requires a secret.
func (r *Register) needSecrets(classes [][]byte) bool {
	return slices.ContainsFunc(classes, func(name []byte) bool {
		c := r.schema.Class(string(name))
		return c != nil && slices.ContainsFunc(c.AllMust, r.isSecret)
	})
}

// secretNames names the secret attributes an entry has.
func (r *Register) secretNames(tx *ledger.Tx, u directory.UUID) ([]string, error) {
	rows, err := tx.Query(`SELECT attribute FROM directory_secret WHERE uuid = $1`, u[:])
	if err != nil {
		return nil, fmt.Errorf("reading secrets of %s: %w", u, err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("reading secrets of %s: %w", u, err)
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// Secrets calls fn for every secret of every entry in no particular order: for
// verifying replicas against the register.
func (r *Register) Secrets(tx *ledger.Tx, fn func(directory.Secret) error) error {
	last := []byte{}
	for {
		page, err := secretPage(tx, last)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, s := range page {
			if err := fn(s); err != nil {
				return err
			}
		}
		last = page[len(page)-1].UUID[:]
	}
}

// secretPage returns the secrets of the next entries after a UUID. An entry
// has few; the page ends with all of its last entry's.
func secretPage(tx *ledger.Tx, after []byte) ([]directory.Secret, error) {
	rows, err := tx.Query(`SELECT data FROM directory_secret WHERE uuid IN
		(SELECT DISTINCT uuid FROM directory_secret WHERE uuid > $1 ORDER BY uuid LIMIT 500) ORDER BY uuid`, after)
	if err != nil {
		return nil, fmt.Errorf("reading secrets: %w", err)
	}
	defer rows.Close()
	var out []directory.Secret
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return nil, fmt.Errorf("reading secrets: %w", err)
		}
		x, err := directory.ParseSecretsChanged(data)
		if err != nil {
			return nil, fmt.Errorf("reading secrets: %w", err)
		}
		out = append(out, x.Secrets...)
	}
	return out, rows.Err()
}

func secretValues(tx *ledger.Tx, u directory.UUID, attribute string) ([][]byte, error) {
	var data []byte
	err := tx.QueryRow(`SELECT data FROM directory_secret WHERE uuid = $1 AND attribute = $2`, u[:], attribute).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading secrets of %s: %w", u, err)
	}
	x, err := directory.ParseSecretsChanged(data)
	if err != nil || len(x.Secrets) != 1 {
		return nil, fmt.Errorf("reading secrets of %s: %w", u, err)
	}
	return x.Secrets[0].Values, nil
}

// modifySecrets applies modifications of secret attributes. Values to delete
// may be passwords or verifiers.
func (r *Register) modifySecrets(tx *ledger.Tx, s *stored, mods []directory.Modification, permissive bool) (changed bool, err error) {
	x := directory.SecretsChanged{}
	for _, m := range mods {
		name := r.schema.Attribute(m.Attribute.Type).Name()
		have, err := secretValues(tx, s.uuid, name)
		if err != nil {
			return false, err
		}
		if permissive && m.Op != directory.ModReplace && !effectiveSecrets(have, &m) {
			continue
		}
		values, err := r.changedSecrets(name, have, m)
		if err != nil {
			return false, err
		}
		one := directory.Secret{UUID: s.uuid, Attribute: name, Values: values}
		storeSecret(tx, &one)
		x.Secrets = append(x.Secrets, one)
	}
	if len(x.Secrets) == 0 {
		return false, nil
	}
	tx.Append(journal.KindSecretsChanged, directory.ChangeVersion, x.Append(nil))
	return true, nil
}

// effectiveSecrets leaves in a modification the values that make a difference,
// and reports whether it makes any.
func effectiveSecrets(have [][]byte, m *directory.Modification) bool {
	if len(m.Attribute.Values) == 0 {
		return m.Op != directory.ModDelete || len(have) > 0
	}
	m.Attribute.Values = slices.DeleteFunc(slices.Clone(m.Attribute.Values), func(v []byte) bool {
		return (holdsSecret(have, v) >= 0) == (m.Op == directory.ModAdd)
	})
	return len(m.Attribute.Values) > 0
}

func (r *Register) changedSecrets(name string, have [][]byte, m directory.Modification) ([][]byte, error) {
	values := m.Attribute.Values
	switch {
	case m.Op == directory.ModReplace:
		return r.sealed(name, values), nil
	case m.Op == directory.ModAdd && len(values) > 0:
		for _, v := range values {
			if holdsSecret(have, v) >= 0 {
				return nil, refuse(directory.AttributeOrValueExists, "modify/add: %s: value already exists", name)
			}
		}
		return append(slices.Clone(have), r.sealed(name, values)...), nil
	case m.Op == directory.ModAdd:
		return nil, refuse(directory.ProtocolError, "modify/add: %s: no values given", name)
	case m.Op != directory.ModDelete:
		return nil, refuse(directory.ConstraintViolation, "%s cannot be incremented", name)
	case len(have) == 0:
		return nil, refuse(directory.NoSuchAttribute, "modify/delete: %s: no such attribute", name)
	case len(values) == 0:
		return nil, nil
	}
	left := slices.Clone(have)
	for _, v := range values {
		i := holdsSecret(left, v)
		if i < 0 {
			return nil, refuse(directory.NoSuchAttribute, "modify/delete: %s: no such value", name)
		}
		left = slices.Delete(left, i, i+1)
	}
	return left, nil
}

// holdsSecret returns the index of the verifier that is, or matches, v.
func holdsSecret(have [][]byte, v []byte) int {
	verifier := directory.IsVerifier(v)
	return slices.IndexFunc(have, func(h []byte) bool {
		if verifier || bytes.Equal(h, v) {
			return bytes.Equal(h, v)
		}
		ok, err := directory.CheckPassword(h, v)
		return ok && err == nil
	})
}
