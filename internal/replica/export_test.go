package replica

// SetHook calls hook at the named points between writes.
func (o *Options) SetHook(hook func(point string)) { o.hook = hook }
