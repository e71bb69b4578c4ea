package main

import (
	"errors"
	"net"
	"net/url"
	"strconv"
)

// FeedConfig says where read nodes on other machines follow this one.
type FeedConfig struct {
	// Listen is host:port of HTTPS with client certificates; port 0 takes any free one. Default: nobody follows from elsewhere.
	Listen string `yaml:"listen"`
	// Names are DNS names and addresses read nodes know this writer by, besides those the server's certificate has anyway.
	Names []string `yaml:"names"`
	// SnapshotFrom is the position from which on a new node begins with a snapshot and not with the first change. Default 5000.
	SnapshotFrom uint64 `yaml:"snapshotFrom"`
}

// FollowConfig says whom a read node follows. cardinal serve --follow writes it.
type FollowConfig struct {
	// URLs are the writers' feeds, https://host:port; the first that answers is followed. Default: the ledger of this folder.
	URLs []string `yaml:"urls"`
	// Certificate and Key are PEM files of this node, as cardinal node add makes them. They are renewed in keys/node.key.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// Trust is a PEM file of the installation's roots. Default trust.pem beside the certificate.
	Trust string `yaml:"trust"`
}

func (c Config) checkFeed(bad func(key, format string, args ...any)) {
	if c.Feed.Listen != "" {
		if err := checkAddress(c.Feed.Listen); err != nil {
			bad("feed.listen", "%v", err)
		}
	}
	for _, text := range c.Follow.URLs {
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
			bad("follow.urls", "%q is not https://host:port", text)
		}
	}
	if len(c.Follow.URLs) > 0 && (c.Follow.Certificate == "" || c.Follow.Key == "") {
		bad("follow", "certificate and key are needed")
	}
}

var (
	errNotHostPort = errors.New("is not host:port")
	errNoPort      = errors.New("the port is not a number from 0 to 65535")
)

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errNotHostPort
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errNoPort
	}
	return nil
}
