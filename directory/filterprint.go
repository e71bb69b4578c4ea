package directory

// String returns the RFC 4515 form. A FilterNone node is printed as (?=x),
// which no parser accepts. It is iterative.
func (f *Filter) String() string { return string(f.append(nil)) }

func (f *Filter) append(b []byte) []byte {
	type step struct {
		f    *Filter
		next int
	}
	stack := []step{{f: f}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next == 0 {
			b = top.f.open(b)
		}
		if top.f.Kind <= FilterNot && top.next < len(top.f.Children) {
			top.next++
			stack = append(stack, step{f: top.f.Children[top.next-1]})
			continue
		}
		b = append(b, ')')
		stack = stack[:len(stack)-1]
	}
	return b
}

func (f *Filter) open(b []byte) []byte {
	b = append(b, '(')
	if f.Kind <= FilterNot {
		return append(b, "&|!"[f.Kind])
	}
	b = append(b, f.Attr...)
	switch f.Kind {
	case FilterEquality:
		return appendFilterValue(append(b, '='), f.Value)
	case FilterGreaterOrEqual:
		return appendFilterValue(append(b, ">="...), f.Value)
	case FilterLessOrEqual:
		return appendFilterValue(append(b, "<="...), f.Value)
	case FilterApprox:
		return appendFilterValue(append(b, "~="...), f.Value)
	case FilterPresent:
		return append(b, "=*"...)
	case FilterSubstrings:
		b = appendFilterValue(append(b, '='), f.Initial)
		for _, a := range f.Any {
			b = appendFilterValue(append(b, '*'), a)
		}
		return appendFilterValue(append(b, '*'), f.Final)
	case FilterExtensible:
		if f.DNAttrs {
			b = append(b, ":dn"...)
		}
		if f.Rule != "" {
			b = append(append(b, ':'), f.Rule...)
		}
		return appendFilterValue(append(b, ":="...), f.Value)
	}
	return append(b, "?=x"...)
}

func appendFilterValue(b, v []byte) []byte {
	for i := 0; i < len(v); {
		c := v[i]
		if c >= 0x80 {
			n := validRune(v[i:])
			if n > 0 {
				b = append(b, v[i:i+n]...)
				i += n
				continue
			}
		}
		if c == '*' || c == '(' || c == ')' || c == '\\' || c < 0x20 || c >= 0x7f {
			b = append(b, '\\', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
		i++
	}
	return b
}
