package ledger

import (
	"database/sql"
	"strconv"
	"strings"

	"modernc.org/sqlite"
)

// prepared is a statement on a connection.
type prepared struct {
	*sql.Stmt
	order []int // which argument each place takes; nil: as they come
}

// arguments are in the order of the statement's places.
func (p prepared) arguments(args []any) []any {
	if p.order == nil {
		return args
	}
	out := make([]any, len(p.order))
	for i, n := range p.order {
		if n < 1 || n > len(args) {
			return args // too few: the driver says so
		}
		out[i] = args[n-1]
	}
	return out
}

// namesPlaces reports a driver that takes $1 for a name and compares it with the number of each argument, written out:
// the time of a statement of 64 values grows with their square.
func namesPlaces(db *sql.DB) bool {
	_, is := db.Driver().(*sqlite.Driver)
	return is
}

// placed gives a statement's text with ? for $1, $2 …, and which argument each takes.
func placed(text string) (string, []int) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	var out strings.Builder
	order := []int{}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				end = len(text) - i - 2
			}
			out.WriteString(text[i : i+end+2])
			i += end + 2
		case c == '$':
			end := i + 1
			for end < len(text) && text[end] >= '0' && text[end] <= '9' {
				end++
			}
			n, _ := strconv.Atoi(text[i+1 : end])
			order = append(order, n)
			out.WriteByte('?')
			i = end
		default:
			out.WriteByte(c)
			i++
		}
	}
	return out.String(), order
}
