//go:build !linux

package main

import (
	"errors"
	"net"
	"time"
)

// poller needs Linux.
type poller struct{}

var errNotLinux = errors.New("a load at a pace needs Linux")

func openPoller() (*poller, error)                { return nil, errNotLinux }
func (*poller) Close() error                      { return nil }
func (*poller) add(int, int) error                { return errNotLinux }
func (*poller) wait(time.Duration) ([]int, error) { return nil, errNotLinux }
func sharpen()                                    {}
func detach(*net.TCPConn) (int, error)            { return -1, errNotLinux }
func hangUp(int)                                  {}
func receive(int, []byte) (int, error)            { return 0, errNotLinux }
func transmit(int, []byte) error                  { return errNotLinux }
