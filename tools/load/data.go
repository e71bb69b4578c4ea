package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"cardinal/directory"
	"cardinal/tools/internal/workforce"
)

// workforceFlags name a workforce; the load generators ask for the same people
// that `load data` wrote.
func workforceFlags(c *cobra.Command, o *workforce.Options) {
	c.Flags().IntVar(&o.People, "people", 10_000, "people")
	c.Flags().IntVar(&o.Organisations, "organisations", 500, "organisations they work for")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "the same seed gives the same people")
	c.Flags().StringVar(&o.Suffix, "suffix", "o=nhs", "the tree they hang in")
}

// data is what is written.
type data struct {
	people   workforce.Options
	services int
	logins   int
	cards    bool
	to       string
}

func dataCommand(out io.Writer) *cobra.Command {
	d := &data{}
	c := &cobra.Command{Use: "data", Aliases: []string{"people"}, Short: "Write a synthetic workforce as LDIF", Args: cobra.NoArgs,
		Long: `With --services it also writes the identity the loads bind as (a {SSHA} password) and so many
entries below ou=Services that "load modify" changes; with --logins, identities whose password is
in the clear, for the server to hash its own way, that "load binds" binds as.`,
		Example: "  load data --people 200000 --organisations 10000 --seed 1 --services 1000 --logins 50 --out people.ldif",
		RunE: func(*cobra.Command, []string) error {
			if d.to == "" {
				return d.write(out)
			}
			f, err := os.OpenFile(d.to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := d.write(f); err != nil {
				return err
			}
			return f.Close()
		}}
	workforceFlags(c, &d.people)
	c.Flags().IntVar(&d.services, "services", 0, "entries to modify, and an identity to bind as")
	c.Flags().IntVar(&d.logins, "logins", 0, "identities with a password in the clear")
	c.Flags().BoolVar(&d.cards, "cards", false, "an entry for each person's card, as load seed numbers them")
	c.Flags().StringVar(&d.to, "out", "", "file to write (default: standard output)")
	return c
}

func (d *data) write(out io.Writer) error {
	if _, err := workforce.WriteLDIF(out, workforce.All(d.people)); err != nil {
		return err
	}
	b := bufio.NewWriter(out)
	if d.services > 0 {
		b.Write(person(serviceDN(d.people.Suffix), "load", sealed(servicePassword)))
	}
	if d.cards {
		for i, number := range cardHolders(d.people) {
			fmt.Fprintf(b, "\ndn: uniqueIdentifier=%s,uid=%s,ou=People,%s\nobjectClass: cardinalCard\nuniqueIdentifier: %s\ncardState: active\ncardNotAfter: 20990101000000Z\n",
				cardNumber(i), number, d.people.Suffix, cardNumber(i))
		}
	}
	for i := range d.logins {
		b.Write(person(loginDN(d.people.Suffix, i), fmt.Sprintf("login-%d", i), servicePassword))
	}
	for i := range d.services {
		fmt.Fprintf(b, "\ndn: %s\nobjectClass: device\ncn: change-%d\ndescription: as it was written\n", changedDN(d.people.Suffix, i), i)
	}
	return b.Flush() // and with it any error before
}

// servicePassword is no secret: it opens data that are not real.
const servicePassword = "load"

func serviceDN(suffix string) string { return "cn=load,ou=Services," + suffix }
func loginDN(suffix string, i int) string {
	return fmt.Sprintf("cn=login-%d,ou=Services,%s", i, suffix)
}
func changedDN(suffix string, i int) string {
	return fmt.Sprintf("cn=change-%d,ou=Services,%s", i, suffix)
}

func person(dn, cn, password string) []byte {
	b := directory.AppendLDIFLine([]byte("\n"), "dn", []byte(dn))
	b = append(b, "objectClass: inetOrgPerson\nsn: load\n"...)
	b = directory.AppendLDIFLine(b, "cn", []byte(cn))
	return directory.AppendLDIFLine(b, "userPassword", []byte(password))
}

// sealed is a password as slapd hashes it by default.
func sealed(password string) string {
	salt := []byte("not any salt")
	sum := sha1.Sum(append([]byte(password), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}
