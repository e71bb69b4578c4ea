package main

import (
	"io"
	"net"
	"net/http"
	"slices"

	"cardinal/ca"
	"cardinal/certs/nodes"
	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// maxRequest bounds a certification request of a node.
const maxRequest = 16 << 10

// certifyForNode answers POST /v1/certificate?for=client|server: a certification request is the body, the certificate
// and its issuer as PEM the answer. The names come from the register of nodes.
func (n *node) certifyForNode(w http.ResponseWriter, r *http.Request, to feed.Node) {
	request, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return
	}
	pub, err := policies.ProveCSR(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	order := ca.Order{Issuer: ca.Services, Holder: to.Name, Request: policies.Request{Profile: policies.ProfileClient, PublicKey: pub, Subject: policies.Subject{CommonName: to.Name}}}
	record := func(tx *ledger.Tx, made []ca.Issued) error {
		return nodes.Bind(tx, to.Name, made[0].Ref, made[0].Certificate.Raw)
	}
	if r.URL.Query().Get("for") == "server" {
		order.Request.Profile, record = policies.ProfileServer, nil
		order.Request.Subject.DNSNames, order.Request.Subject.IPs = namesOf(to.Hosts)
	}
	issued, _, err := n.write.authority.Issue(r.Context(), []ca.Order{order}, record)
	if err != nil {
		n.logger.Error("certifying for a node", "node", to.Name, "error", err)
		http.Error(w, "not certified", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write(append(pemBlock("CERTIFICATE", issued[0].Certificate.Raw), pemBlock("CERTIFICATE", n.write.authority.Certificate(issued[0].Issuer).Raw)...))
}

// namesOf parts the hosts a node serves under, and how it calls itself.
func namesOf(hosts []string) (names []string, ips []net.IP) {
	hosts = append(slices.Clone(hosts), "localhost", "127.0.0.1", "::1")
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		if ip := net.ParseIP(host); ip != nil {
			ips = append(ips, ip)
		} else {
			names = append(names, host)
		}
	}
	return names, ips
}
