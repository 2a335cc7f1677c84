"""A forward pass whose values are kept, and products with its Jacobian and Hessian.

The kind of each operation (``kinds/``) multiplies by its local Jacobian J_f in both modes. For an operation y = f(x)::

    push    dy = J_f dx         forward mode, first operation to last: dx, dy are tangents
    pull    dx = J_f^T dy       reverse mode, last operation to first: dx, dy are gradients

The Hessian-vector product is the tangent of the pull along a push (Pearlmutter, 1994, Fast exact multiplication by the
Hessian).
"""

import numpy as np

from libc.stdint cimport int64_t

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport kernels_t, plan_t
from fastbp.kernels.losses cimport set_loss
from fastbp.kernels.program cimport Program

from fastbp.kernels.data import check
from fastbp.kernels.dispatch import KINDS, KINDS_IN_PLACE
from fastbp.kernels.program import DERIVATIVES, INSPECTION

KIND_NAMES = {number: name for name, number in KINDS.items()}


def mirrors_of(Program program, flat):
    """The copies of W^T of all matrices of a flat vector, laid out as the program's mirrors.

    Parameters
    ----------
    program : Program
        Compiled for DERIVATIVES or INSPECTION.
    flat : ndarray of shape (n_params,)

    Returns
    -------
    ndarray
    """
    cdef plan_t plan
    check("flat", flat, program.dtype, (program.c.n_params,))
    out = np.zeros(program.mirror_size, program.dtype)  # there are gaps between the copies
    plan.program, plan.params, plan.mirrors = program.c, address(flat), address(out, True)
    program.kernels.refresh_mirrors(&plan)
    return out


cdef class Linearization:
    """A forward pass over all rows of a data set, and its derivatives.

    The arrays handed in are neither copied nor written to; they must stay as they are while this object is used. One
    thread may use it at a time.

    Parameters
    ----------
    program : Program
        Compiled for DERIVATIVES or INSPECTION.
    params : ndarray of shape (n_params,)
    mirrors : ndarray
        `mirrors_of` them.
    data : Data
        Dense, of at least one row; with targets, if the loss is used.
    loss : str or None
        A name in LOSSES.
    loss_constants : sequence of float
        Of the loss.
    """

    cdef plan_t c
    cdef const kernels_t *kernels
    cdef readonly Program program
    cdef Data data
    cdef object loss, params, mirrors, row_losses
    cdef dict buffers
    cdef dict kept_grads

    def __init__(self, Program program, params, mirrors, Data data, loss=None, loss_constants=()):
        program.check_purpose(DERIVATIVES, INSPECTION)
        check("params", params, program.dtype, (program.c.n_params,))
        check("mirrors", mirrors, program.dtype, (program.mirror_size,))
        if program.is_sparse:
            raise ValueError("derivatives are taken of dense data, and the program is for sparse data")
        is_as_wanted = data.dtype == program.dtype and not data.is_converted
        if data.is_sparse or not is_as_wanted or data.n_features != program.graph.n_features:
            raise ValueError(
                f"X must be dense, {program.dtype}, of {program.graph.n_features} features; got "
                f"{data.values.dtype} of shape {data.values.shape}"
            )
        self.program, self.kernels, self.data, self.loss = program, program.kernels, data, loss
        self.params, self.mirrors, self.buffers, self.kept_grads = params, mirrors, {}, {}
        self.c.program, self.c.data = program.c, data.c
        if loss is not None:
            set_loss(&self.c.loss, loss, loss_constants, program.is_raw, program.graph.n_outputs)
        self.c.params, self.c.mirrors = <void *> address(params), <void *> address(mirrors)
        self.c.n = self.c.capacity = self.c.row_block = data.n_rows
        self.c.values = self.buffer("values", program.value_columns)
        with nogil:
            self.kernels.forward_rows(&self.c, 0, self.c.n)

    def forward(self, int64_t number):
        """Compute an operation again, after a change of its parameters or of its input.

        Parameters
        ----------
        number : int
            Its index among the operations. The values of those after it are not computed.
        """
        cdef plan_t one = self.c
        if not 0 <= number < self.program.c.n_operations:
            raise IndexError(f"the program has {self.program.c.n_operations} operations, got number {number}")
        one.program.operations += number
        one.program.n_operations = 1
        with nogil:
            self.kernels.forward_rows(&one, 0, one.n)

    cdef void *buffer(self, name, int64_t columns) except? NULL:
        """A buffer of `columns` numbers for every row, allocated at its first use."""
        if name not in self.buffers:
            self.buffers[name] = np.empty(columns * self.c.capacity, self.program.dtype)
        return address(self.buffers[name], True)

    def check_like_output(self, name, array):
        """ValueError unless the array has the shape and the type of the output."""
        width = self.program.nodes[self.program.c.output]["width"]
        check(name, array, self.program.dtype, (self.c.n, width))

    def check_like_input(self, name, array):
        """ValueError unless the array has the shape and the type of X."""
        check(name, array, self.program.dtype, (self.c.n, self.program.graph.n_features))

    def check_like_params(self, name, array):
        """ValueError unless the array has the shape and the type of the parameters."""
        check(name, array, self.program.dtype, self.params.shape)

    # What nodes hold

    def view(self, buffer, field, int64_t node):
        """A view of a node in one of the buffers."""
        entry = self.program.nodes[node]
        begin, width = int(entry[field]) * self.c.capacity, int(entry["width"])
        return self.buffers[buffer][begin:begin + self.c.n * width].reshape(self.c.n, width)

    def value(self, int64_t node):
        """ndarray of shape (n, width): the value of a node; not to be written to."""
        return self.data.values if node == 0 else self.view("values", "value", node)

    def grad(self, int64_t node):
        """ndarray of shape (n, width): the gradient by a node after a pull; for all nodes if the pull kept them."""
        return self.kept_grads[node] if node in self.kept_grads else self.view("grads", "grad", node)

    @property
    def output(self):
        """ndarray of shape (n, n_outputs): the value of the output node; not to be written to."""
        return self.value(self.program.c.output)

    @property
    def row_loss(self):
        """ndarray of shape (n,): the loss of each row, times its sample weight, after a pull from the loss."""
        return self.row_losses

    # Forward mode

    def push(self, dX):
        """J dX: the change of the output when X changes by dX, to first order.

        Parameters
        ----------
        dX : ndarray of shape (n, n_features), C-contiguous

        Returns
        -------
        ndarray of shape (n, n_outputs)
            Overwritten by the next push.

        Raises
        ------
        ValueError
            If an operation has no forward-mode derivative.
        """
        self.check_like_input("dX", dX)
        self.c.direction, self.c.input_tangent = NULL, address(dX)
        return self.push_tangents()

    def push_parameters(self, direction, direction_mirrors):
        """The change of the output when the parameters move along `direction`, to first order.

        Parameters
        ----------
        direction : ndarray of shape (n_params,)
        direction_mirrors : ndarray
            `mirrors_of` it.

        Returns
        -------
        ndarray of shape (n, n_outputs)
            Overwritten by the next push.
        """
        self.check_like_params("direction", direction)
        check("direction_mirrors", direction_mirrors, self.program.dtype, (self.program.mirror_size,))
        self.c.direction, self.c.direction_mirrors = address(direction), address(direction_mirrors)
        self.c.input_tangent = NULL
        return self.push_tangents()

    def push_tangents(self):
        """Push the tangents that are set."""
        self.program.check_derivatives("forward")
        self.c.tangents = self.buffer("tangents", self.program.tangent_columns)
        with nogil:
            self.kernels.push(&self.c)
        return self.view("tangents", "tangent", self.program.c.output)

    # Reverse mode

    def pull(self, dA, gradient=None, dX=None, bint keep=False):
        """dA J: the gradient of ``sum(dA * output)``.

        Parameters
        ----------
        dA : ndarray of shape (n, n_outputs), C-contiguous
            The gradient by the output.
        gradient : ndarray of shape (n_params,) or None
            The gradient by the parameters, summed over the rows, is added to it.
        dX : ndarray of shape (n, n_features), C-contiguous, or None
            Overwritten with the gradient by X.
        keep : bool
            Whether to keep the gradients by all nodes for `grad`; the program must be one for INSPECTION.
        """
        self.check_like_output("dA", dA)
        self.c.grads = self.buffer("grads", self.program.grad_columns)
        self.view("grads", "grad", self.program.c.output)[...] = dA
        self.pull_gradients(gradient, dX, keep)

    def pull_loss(self, gradient=None, dX=None):
        """The gradient of the summed loss; parameters as for `pull`. Sets `row_loss`."""
        self.bind_loss()
        with nogil:
            self.kernels.output_loss(&self.c)
        self.pull_gradients(gradient, dX, False)

    def bind_loss(self):
        """Set the loss, and allocate its buffers."""
        if self.loss is None or (self.data.c.Y == NULL and self.data.c.labels == NULL):
            raise ValueError("the gradient of the loss needs a loss and data with targets")
        if self.data.n_outputs != self.c.loss.target_width:
            raise ValueError(
                f"{self.loss} takes {self.c.loss.target_width} targets, the data have {self.data.n_outputs}"
            )
        self.row_losses = np.empty(self.c.n)
        self.c.row_loss = <double *> address(self.row_losses, True)
        self.c.targets = self.buffer("targets", self.c.loss.target_width)
        self.c.grads = self.buffer("grads", self.program.grad_columns)

    def pull_gradients(self, gradient, dX, bint keep):
        """Pull the gradient of the output node."""
        cdef void *total = NULL
        cdef int64_t i, n = self.program.c.n_operations
        self.check_like_params("gradient", gradient)
        self.program.check_derivatives("reverse")
        self.check_like_input("dX", dX)
        if gradient is not None:
            total = address(gradient, True)
        self.c.input_grad = NULL if dX is None else address(dX, True)
        self.kept_grads = {}
        if keep:
            for i in range(n - 1, -1, -1):
                if KIND_NAMES[self.program.c.operations[i].kind] in KINDS_IN_PLACE:  # which overwrites the gradient
                    node = self.program.c.operations[i].output
                    self.kept_grads[node] = self.view("grads", "grad", node).copy()
                self.kernels.pull(&self.c, i, i + 1, total)
            return
        with nogil:
            self.kernels.pull(&self.c, 0, n, total)

    # The change of a pull along a push

    def pull_tangent(self, dA, dA_tangent, direction, direction_mirrors, out):
        """The change of ``pull(dA, gradient)`` when the parameters move along `direction`.

        Parameters
        ----------
        dA, dA_tangent : ndarray of shape (n, n_outputs), C-contiguous
            The gradient by the output, and its change along the direction.
        direction, direction_mirrors
            As for `push_parameters`.
        out : ndarray of shape (n_params,)
            The change of the gradient is added to it.

        Raises
        ------
        ValueError
            If an operation has no second derivative.
        """
        output = self.program.c.output
        self.check_like_output("dA", dA)
        self.check_like_output("dA_tangent", dA_tangent)
        self.prepare_pull_tangent(direction, direction_mirrors, out)
        self.view("grads", "grad", output)[...] = dA
        self.view("grad_tangents", "grad", output)[...] = dA_tangent
        self.kernels.pull_tangent(&self.c, address(out, True))

    def hessian_product(self, direction, direction_mirrors, out):
        """The change of the gradient of the summed loss when the parameters move along `direction`.

        Parameters are those of `pull_tangent`.
        """
        cdef void *total
        self.prepare_pull_tangent(direction, direction_mirrors, out)
        self.bind_loss()
        total = address(out, True)
        with nogil:
            self.kernels.output_loss_tangent(&self.c)
            self.kernels.output_loss(&self.c)
            self.kernels.pull_tangent(&self.c, total)

    def prepare_pull_tangent(self, direction, direction_mirrors, out):
        """Push the direction, and allocate the gradients and their tangents."""
        self.check_like_params("out", out)
        self.program.check_derivatives("second")
        self.push_parameters(direction, direction_mirrors)
        self.c.grads = self.buffer("grads", self.program.grad_columns)
        self.c.grad_tangents, self.c.input_grad = self.buffer("grad_tangents", self.program.grad_columns), NULL
