/** The vendored libraries set these; they come without types of their own that fit a script. */
declare const ol: any;
declare const ms: any;
