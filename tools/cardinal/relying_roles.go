package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"cardinal/directory"
)

// personAttributes are what a login asks for: the person's name and state, the state of the card
// and when it ends, and what tells one role profile from another.
func personAttributes() []string {
	return []string{
		"objectClass", "cn", "sn", "givenName", "personalTitle", "nhsPersonStatus", "o", "nhsIDCode",
		"uniqueIdentifier", "nhsJobRole", "nhsJobRoleCode", "nhsOrgOpenDate", "nhsOrgCloseDate", "cardStatus", "certificateNotAfter", "roleActive",
	}
}

// leavesInactiveOut is Cardinal's control that has the directory leave inactive roles out. One that
// does not know it passes it over, and its answer is sorted out here.
const leavesInactiveOut = "1.3.6.1.4.1.32473.2.3.1"

// readRoles reads the person, the card, the organisations and the role profiles in one subtree
// search, and leaves those roles in the report that are active today.
func (s *relyingSystem) readRoles(ctx context.Context, report *loginReport) (string, error) {
	connection, err := s.dialDirectory(ctx)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	base := fmt.Sprintf("uid=%s,ou=People,%s", report.User, s.suffix)
	request := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0,
		int(loginTimeout/time.Second), false, "(objectClass=*)", personAttributes(), []ldap.Control{ldap.NewControlString(leavesInactiveOut, false, "")})
	result, err := connection.Search(request)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return "", &refusedLogin{why: "the directory knows no user " + report.User}
	case err != nil:
		return "", fmt.Errorf("searching %s: %w", base, err)
	}
	return s.readPerson(result.Entries, report)
}

func (s *relyingSystem) readPerson(entries []*ldap.Entry, report *loginReport) (string, error) {
	if err := s.readCard(entries, report); err != nil {
		return "", err
	}
	organisations := map[string]string{} // entry of the person in an organisation → the organisation's name
	for _, entry := range entries {
		switch {
		case hasClass(entry, "nhsOrgPerson"):
			organisations[fold(entry.DN)] = entry.GetEqualFoldAttributeValue("o")
		case hasClass(entry, "nhsPerson"):
			report.Name = entry.GetEqualFoldAttributeValue("cn")
			if status := entry.GetEqualFoldAttributeValue("nhsPersonStatus"); status != "1" {
				return "", &refusedLogin{why: "the person is not active in the directory"}
			}
		}
	}
	if report.Name == "" {
		return "", &refusedLogin{why: "the directory shows no person " + report.User}
	}
	for _, entry := range entries {
		if !hasClass(entry, "nhsOrgPersonRole") || !s.open(entry) {
			continue
		}
		_, parent, _ := strings.Cut(entry.DN, ",")
		report.Roles = append(report.Roles, loginRole{
			ID:           entry.GetEqualFoldAttributeValue("uniqueIdentifier"),
			Organisation: entry.GetEqualFoldAttributeValue("nhsIDCode"),
			Name:         organisations[fold(parent)],
			Job:          jobTitle(entry.GetEqualFoldAttributeValue("nhsJobRole")),
			JobCode:      entry.GetEqualFoldAttributeValue("nhsJobRoleCode"),
		})
	}
	if len(report.Roles) == 0 {
		return "", &refusedLogin{why: "the person has no role that is open today"}
	}
	return fmt.Sprintf("%d roles of %s in one search", len(report.Roles), report.Name), nil
}

// readCard takes what the directory says of the card: it must be active, if the directory can tell.
// OCSP was asked before, and what it said stands.
func (s *relyingSystem) readCard(entries []*ldap.Entry, report *loginReport) error {
	for _, entry := range entries {
		switch {
		case hasClass(entry, "cardinalCard"):
			report.CardID = entry.GetEqualFoldAttributeValue("uniqueIdentifier")
		case hasClass(entry, "nhsPerson"):
			report.Card = entry.GetEqualFoldAttributeValue("cardStatus")
			if ends, err := time.Parse("20060102150405Z", entry.GetEqualFoldAttributeValue("certificateNotAfter")); err == nil {
				report.expiry(ends, s.now(), s.london)
			}
		}
	}
	if report.Card != "" && report.Card != directory.CardActive {
		return &refusedLogin{why: "the directory says that the card is " + report.Card}
	}
	return nil
}

// open reports whether a role counts today: as the directory says, or by its date where it does not.
func (s *relyingSystem) open(entry *ldap.Entry) bool {
	if active := entry.GetEqualFoldAttributeValue("roleActive"); active != "" {
		return active == "TRUE"
	}
	return directory.RoleActive(entry.GetEqualFoldAttributeValue("nhsOrgCloseDate"), s.now(), s.london)
}

func hasClass(entry *ldap.Entry, class string) bool {
	for _, value := range entry.GetEqualFoldAttributeValues("objectClass") {
		if strings.EqualFold(value, class) {
			return true
		}
	}
	return false
}

// fold makes two spellings of one DN of our own directory equal.
func fold(dn string) string { return strings.ToLower(strings.ReplaceAll(dn, ", ", ",")) }

// jobTitle is the last of the three quoted levels of nhsJobRole.
func jobTitle(role string) string {
	levels := strings.Split(role, ":")
	return strings.Trim(levels[len(levels)-1], `"`)
}

// dialDirectory connects over TLS, shows the relying system's certificate and takes its identity
// (SASL EXTERNAL, RFC 4422 appendix A).
func (s *relyingSystem) dialDirectory(ctx context.Context) (*ldap.Conn, error) {
	address, err := url.Parse(s.directory)
	if err != nil {
		return nil, usage("directory", err)
	}
	config := &tls.Config{RootCAs: s.trust, Certificates: s.identity, ServerName: address.Hostname(), MinVersion: tls.VersionTLS12, Time: s.now}
	deadline, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	if until, ok := deadline.Deadline(); ok {
		dialer.Deadline = until
	}
	connection, err := ldap.DialURL(s.directory, ldap.DialWithDialer(dialer), ldap.DialWithTLSConfig(config))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.directory, err)
	}
	connection.SetTimeout(loginTimeout)
	if err := s.bind(connection, address.Scheme, config); err != nil {
		connection.Close()
		return nil, err
	}
	return connection, nil
}

func (s *relyingSystem) bind(connection *ldap.Conn, scheme string, config *tls.Config) error {
	if scheme == "ldap" {
		if err := connection.StartTLS(config); err != nil {
			return fmt.Errorf("starting TLS: %w", err)
		}
	}
	err := connection.ExternalBind()
	if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return &refusedLogin{why: "the directory does not accept the certificate"}
	}
	if err != nil {
		return fmt.Errorf("binding with the certificate: %w", err)
	}
	return nil
}
